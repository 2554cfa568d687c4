# The R lines of the document, run in a server's folder, give the types that the codebook names.
#     Rscript lines.R docs/scoring.md
text <- paste(readLines(commandArgs(TRUE)[1]), collapse = "\n")
blocks <- regmatches(text, gregexpr("(?s)```r\n.*?```", text, perl = TRUE))[[1]]
stopifnot(length(blocks) == 2)
for (table in c("OA", "RR", "DASS21_AS", "Affect", "Credibility")) {
  for (block in blocks) {
    code <- sub("```$", "", sub("^```r\n", "", block))
    names <- new.env()
    eval(parse(text = gsub("OA.csv", paste0(table, ".csv"), code, fixed = TRUE)), names)
    plain <- read.csv(paste0("combined/", table, ".csv"), colClasses = "character", na.strings = character())
    for (part in c("combined", "scored")) {
      frame <- names[[part]]
      rows <- names$book[names$book$table == paste0(part, "/", table, ".csv"), ]
      for (at in seq_len(nrow(rows))) {
        column <- frame[[rows$column[at]]]
        if (class(column)[1] != rows$class[at]) stop(part, "/", table, ": ", rows$column[at], " is ", class(column)[1])
      }
      stopifnot(nrow(frame) > 0)
    }
    items <- names$book$column[names$book$table == paste0("combined/", table, ".csv") & grepl("555=", names$book$missing)]
    for (item in items) stopifnot(identical(is.na(names$combined[[item]]), plain[[item]] %in% c("", "555")))
    stopifnot(is.numeric(names$wide$participant), nrow(names$wide) > 0)
  }
}
cat("R reads the types of the codebook, by readr and by itself\n")
