"""The pandas lines of the document, run in a server's folder, give the types that the codebook names.

    pandas_lines.py docs/scoring.md
"""
import pathlib, re, sys

import pandas as pd

text = pathlib.Path(sys.argv[1]).read_text()
lines = re.findall(r"```python\n(.*?)```", text, re.S)
assert len(lines) == 1, "one block of Python"
for table in ("OA", "RR", "DASS21_AS", "Affect", "Credibility"):
    names = {}
    exec(lines[0].replace("OA.csv", f"{table}.csv"), names)
    combined, scored, wide, book = (names[name] for name in ("combined", "scored", "wide", "book"))
    for path, frame in ((f"combined/{table}.csv", combined), (f"scored/{table}.csv", scored)):
        plain = pd.read_csv(path, dtype="string", keep_default_na=False)
        for row in book[book.table == path].itertuples():
            column, kind = frame[row.column], row.type
            expected = {"number": "float64", "integer": "Int64", "boolean": "boolean"}.get(kind)
            assert expected is None or str(column.dtype) == expected, f"{path}: {row.column} is {column.dtype}"
            assert expected or pd.api.types.is_string_dtype(column), f"{path}: {row.column} is {column.dtype}"
            codes = [code.split("=")[0] for code in row.missing.split("; ")] if isinstance(row.missing, str) else []
            gone = plain[row.column].isin(["", *codes])
            assert (column.isna() == gone).all(), f"{path}: {row.column}"
    scores = [name for name in scored if f"{name}_n_valid" in scored]
    assert all(wide[name].dtype == "float64" for name in wide if any(f"_{score}_" in name for score in scores))
print("pandas reads the types of the codebook")
