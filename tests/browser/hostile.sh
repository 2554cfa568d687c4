#!/usr/bin/env bash
# hostile.sh MTDATA FOLDER: a project whose tables try everything that data can try against a page, and its report.
set -euo pipefail
mtdata=$(realpath "$1")
mkdir -p "$2/config/scales" "$2/data/lab/active_data"
cd "$2"
cat > Pipeline.toml <<'TOML'
default = ["reports"]
[data]
pool = "data"
servers = "config/servers.toml"
scales = "config/scales"
[task.decode]
action = "decode"
each = ["server", "scale", "date"]
[task.combine]
action = "combine"
each = ["server", "scale"]
needs = ["decode"]
[task.score]
action = "score"
each = ["server", "scale"]
needs = ["combine"]
[task.reports]
action = "report"
each = ["server"]
needs = ["combine", "score"]
partial = true
TOML
cat > config/servers.toml <<'TOML'
[lab]
ready = false
url = "https://study.invalid/api/"
user = "nobody"
timezone = "America/New_York"
study = "hostile"
TOML
cat > config/scales/hostile.toml <<'TOML'
title = "</title><script>alert('title')</script>"
[[session]]
name = "one<script>alert('session')</script>"
display = "<img src=x onerror=alert('display')>"
tasks = [{ name = "OA", scale = "OA" }, { name = "\"><img", scale = "\"><img" }]
[[session]]
name = "two"
display = "Two"
tasks = [{ name = "OA", scale = "OA" }]
[scale.OA]
title = "<b>OASIS</b>"
items = ["avoid"]
range = [0, 4]
free_text = ["why"]
missing = { "555" = "declined", "999" = "not_asked", "-2" = "server" }
[[scale.OA.score]]
name = "total<i>"
rule = "sum"
[scale.'"><img']
items = ["x</script><script>alert(1)//"]
range = [0, 100]
[scale.TaskLog]
kind = "log"
[scale.ParticipantExport]
kind = "participants"
TOML
cd data/lab/active_data
cat > OA_2026-01-05.csv <<'CSV'
avoid,date,id,participant,session,tag,why
3,"Mon, 5 Jan 2026 06:00:00 -0500",1,<script>alert('who')</script>,one<script>alert('session')</script>,,"<script>alert('why')</script> my secret"
555,"Mon, 5 Jan 2026 06:10:00 -0500",2,7,one<script>alert('session')</script>,,a secret of seven
999,"Mon, 5 Jan 2026 06:20:00 -0500",3,7,two,,
9,"Mon, 5 Jan 2026 06:30:00 -0500",4,8,one<script>alert('session')</script>,,????
I will not say </script><script>alert('item')</script>,"Mon, 5 Jan 2026 06:40:00 -0500",5,8,two,,
1,"Mon, 5 Jan 2026 06:50:00 -0500",6,9,flexible<u>,,
2,"Mon, 5 Jan 2026 06:50:00 -0500",7,8,two,,
-2,no day at all,8,javascript:alert('id'),two,,
CSV
cat > '"><img_2026-01-05.csv' <<'CSV'
date,id,participant,session,tag,x</script><script>alert(1)//
"Mon, 5 Jan 2026 07:00:00 -0500",1,7,one<script>alert('session')</script>,,50
"Mon, 5 Jan 2026 07:00:00 -0500",2,77,one<script>alert('session')</script>,,150
CSV
cat > ParticipantExport_2026-01-05.csv <<'CSV'
admin,dateCreated,id,study,testAccount
false,"Sun, 4 Jan 2026 06:00:00 -0500",7,57,false
false,"Sun, 4 Jan 2026 06:00:00 -0500",8,58,false
false,"Sun, 4 Jan 2026 06:00:00 -0500",9,59,true
false,"Sun, 4 Jan 2026 06:00:00 -0500",<script>alert('who')</script>,60,false
CSV
cat > TaskLog_2026-01-05.csv <<'CSV'
dateCompleted,id,sessionName,study,tag,taskName
"Mon, 5 Jan 2026 06:10:00 -0500",1,one<script>alert('session')</script>,57,,OA
"Mon, 5 Jan 2026 07:00:00 -0500",2,one<script>alert('session')</script>,57,,"""><img"
"Mon, 5 Jan 2026 07:10:00 -0500",3,one<script>alert('session')</script>,57,,SESSION_COMPLETE
"Mon, 5 Jan 2026 07:10:00 -0500",4,one<script>alert('session')</script>,58,,"""><img"
"Mon, 5 Jan 2026 07:10:00 -0500",5,two,999,,OA
CSV
cd ../../..
"$mtdata" build reports/lab
