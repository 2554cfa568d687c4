#!/usr/bin/env python3
"""Recomputes a report's figures from the pool with nothing but the standard library, and says where they differ.

Usage: report.py POOL/SERVER config/scales/STUDY.toml

Written from the contract, not from the program: sets and dictionaries over whole tables, no streaming, no sharing.
"""

import csv
import json
import re
import statistics
import sys
import tomllib
from collections import Counter, defaultdict
from datetime import date, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from pathlib import Path

csv.field_size_limit(1 << 30)
DATES = ["date", "dateCompleted", "dateSent", "dateCreated", "datetime"]
PARTICIPANT = ["participant", "participantDAO", "participantRSA", "participantId", "participantdao_id"]
TECHNICAL = {"id", "date", "session", "tag", "timeOnPage", "sessionId", "study"} | set(PARTICIPANT)
IDLE = 21.0
EST = timezone(timedelta(hours=-5))
problems = []


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def first(row, names):
    return next((row[name] for name in names if row.get(name)), "")


def moment(text):
    text = text.strip()
    if re.fullmatch(r"\d{10,}", text):
        return datetime.fromtimestamp(int(text) / 1000, EST)
    try:
        return parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError):
        pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=EST)


def percent(part, whole):
    return f"{part * 100 / whole:.1f}" if whole else ""


def same(what, expected, found):
    if expected != found:
        problems.append(f"{what}: expected {expected!r}, the report has {found!r}")


def number(text):
    try:
        found = float(text)
    except ValueError:
        return None
    return found if found == found and abs(found) != float("inf") else None


class Scale:
    def __init__(self, definition):
        self.kind = definition.get("kind", "questionnaire")
        self.texts = definition.get("free_text", [])
        own = definition.get("column", {})
        self.ranges, self.values, self.codes, self.columns = {}, {}, {}, []
        for group in ("items", "choices", "booleans", "free_text", "lists", "dates", "other"):
            for column in definition.get(group, []):
                self.columns.append(column)
                refined = own.get(column, {})
                if group == "items":
                    if definition.get("values"):
                        self.values[column] = definition["values"]
                    else:
                        self.ranges[column] = definition.get("range", [None, None])
                if group == "booleans":
                    self.values[column] = ["true", "false", "True", "False", "TRUE", "FALSE"]
                if "range" in refined or "least" in refined:
                    self.ranges[column] = refined.get("range") or [refined["least"], None]
                    self.values.pop(column, None)
                if refined.get("values"):
                    self.values[column] = refined["values"]
                    self.ranges.pop(column, None)
                # The column's own codes come first.
                codes = list(refined.get("missing", {}).items())
                self.codes[column] = codes + (list(definition.get("missing", {}).items()) if group != "lists" else [])

    def meaning(self, column, cell, day):
        """One of answered, outside, declined, not_asked, server, empty."""
        if cell == "":
            return "empty"
        lost = cell == "\ufffd" or len(cell.encode()) > 1 and set(cell) <= {"?", "\ufffd"}
        value = number(cell)
        for code, meaning in self.codes.get(column, []):
            if isinstance(meaning, dict):
                since, until = (date.fromisoformat(meaning[key]) if key in meaning else None for key in ("since", "until"))
                if day and (since and day < since or until and day > until):
                    continue
                meaning = meaning["meaning"]
            if cell == code or value is not None and value == number(code):
                return meaning
        outside = column in self.values and cell not in self.values[column]
        if column in self.ranges:
            least, most = self.ranges[column]
            outside = value is None or least is not None and value < least or most is not None and value > most
        return "server" if lost and (outside or column not in self.ranges) else "outside" if outside else "answered"


class Pool:
    def __init__(self, folder, study):
        self.folder = folder
        self.sessions = study.get("session", [])
        self.names = [session["name"] for session in self.sessions]
        self.scales = {name: Scale(definition) for name, definition in study.get("scale", {}).items()}
        # The slots of the schedule: (session number, task, scale or None, tag or None).
        self.slots = [
            (place, task["name"], task.get("scale"), task.get("tag"))
            for place, session in enumerate(self.sessions)
            for task in session.get("tasks", [])
        ]
        self.all = {path.stem: rows_of(path) for path in sorted((folder / "combined").glob("*.csv"))}
        self.tables = {name: [row for row in rows if row["_current"] != "false"] for name, rows in self.all.items()}
        self.roster()
        self.deeds()

    def kind(self, name):
        if name in self.scales:
            return self.scales[name].kind
        header = set(self.all[name][0]) if self.all[name] else set()
        return "trials" if {"id", "conditioning", "currentSession"} <= header else "questionnaire"

    def roster(self):
        self.people, self.of_study = {}, {}
        self.has_roster = "ParticipantExport" in self.tables
        for row in self.tables.get("ParticipantExport", []):
            test = any(row.get(name) in ("true", "1", "\x01") for name in ("testAccount", "admin"))
            self.people[row["id"]] = {"test": test, "enrolled": moment(row["dateCreated"]), "condition": "", "server": ""}
            self.of_study[row["study"]] = row["id"]
        for row in self.tables.get("StudyImportExport", []):
            who = self.of_study.get(row["id"])
            if who:
                self.people[who]["condition"], self.people[who]["server"] = row["conditioning"], row["currentSession"]

    def slot(self, session, matches, tag):
        return next(
            (n for n, slot in enumerate(self.slots)
             if self.names[slot[0]] == session and matches(slot) and (slot[3] is None or slot[3] == tag)), None)

    def deeds(self):
        self.given, self.logged = defaultdict(Counter), defaultdict(Counter)
        self.reached, self.completed = defaultdict(dict), defaultdict(set)
        self.last, self.task, self.extra, self.entries = {}, {}, Counter(), Counter()
        self.repeated, self.second = Counter(), Counter()
        for name, rows in self.tables.items():
            kind, keys = self.kind(name), Counter()
            scheduled = any(slot[2] == name for slot in self.slots)
            for row in rows:
                when = moment(first(row, DATES))
                who = row["id"] if kind == "participants" else first(row, PARTICIPANT)
                if kind == "log" and not who:
                    who = self.of_study.get(row.get("study", ""), "")
                if not who:
                    continue
                if when:
                    self.last[who] = max(self.last.get(who, when), when)
                else:
                    self.last.setdefault(who, None)
                if kind == "participants":
                    continue
                session, tag = first(row, ["session", "sessionName"]), row.get("tag", "")
                if session in self.names:
                    place = self.names.index(session)
                    known = self.reached[who].get(place)
                    self.reached[who][place] = min(filter(None, (known, when)), default=None)
                if kind == "log":
                    task = row.get("taskName", "")
                    if task == "SESSION_COMPLETE":
                        if session in self.names:
                            self.completed[who].add(self.names.index(session))
                        continue
                    slot = self.slot(session, lambda slot: slot[1] == task, tag)
                    if slot is not None:
                        self.logged[who][slot] += 1
                    if when and task and (who not in self.task or self.task[who] <= (when, task)):
                        self.task[who] = (when, task)
                elif kind == "questionnaire":
                    slot = self.slot(session, lambda slot: slot[2] == name, tag)
                    self.entries[who] += 1
                    key = (who, slot) if slot is not None else (who, session, tag)
                    self.repeated[who] += keys[key] > 0
                    self.second[name] += keys[key] > 0
                    keys[key] += 1
                    if slot is not None:
                        self.given[who][slot] += 1
                    elif scheduled:
                        self.extra[who] += 1

    def due(self, who):
        """Slots that were due, in order."""
        if not self.reached.get(who):
            return []
        session = max(self.reached[who])
        done = [n for n in (*self.given[who], *self.logged[who]) if self.slots[n][0] == session]
        last = max(done, default=-1)
        return [
            n for n, slot in enumerate(self.slots)
            if slot[2] in self.tables
            and (slot[0] < session or slot[0] == session and (session in self.completed[who] or n <= last))
        ]


def check_columns(pool, folder):
    found = {(row["questionnaire"], row["column"]): row for row in rows_of(folder / "columns.csv")}
    expected = set()
    for name, rows in pool.tables.items():
        kind = pool.kind(name)
        if kind not in ("questionnaire", "trials"):
            continue
        scale = pool.scales.get(name)
        header = [column for column in (pool.all[name][0] if pool.all[name] else {})]
        known = scale.columns if scale and scale.columns else None
        answers = [c for c in header if (c in known if known is not None else c not in TECHNICAL and c[0] != "_")]
        for column in answers:
            expected.add((name, column))
            row = found.get((name, column))
            if row is None:
                problems.append(f"columns.csv lacks {name}.{column}")
                continue
            kinds, seen = Counter(), []
            for entry in rows:
                when = moment(first(entry, DATES))
                cell = entry[column]
                kind = (scale or Scale({})).meaning(column, cell, when and when.date())
                kinds[kind] += 1
                if kind in ("answered", "outside") and column not in (scale.texts if scale else []):
                    value = number(cell.strip())
                    if value is not None:
                        seen.append(value)
            missing = kinds["declined"] + kinds["empty"] + kinds["server"]
            asked = len(rows) - kinds["not_asked"]
            for field, value in {
                "entries": len(rows), "answered": kinds["answered"] + kinds["outside"], "declined": kinds["declined"],
                "not_asked": kinds["not_asked"], "empty": kinds["empty"], "server_blank": kinds["server"],
                "missing": missing, "asked": asked, "percent_missing": percent(missing, asked), "out_of_range": kinds["outside"],
            }.items():
                same(f"columns.csv {name}.{column} {field}", str(value), row[field])
            ends = (min(seen), max(seen)) if seen else ("", "")
            same(f"columns.csv {name}.{column} range", ends, tuple(number(row[end]) if row[end] else "" for end in ("least", "most")))
    same("columns.csv rows", expected, set(found))
    return len(expected)


def check_participants(pool, folder):
    found = {row["participant"]: row for row in rows_of(folder / "participants.csv")}
    everyone = set(pool.people) | set(pool.last)
    same("participants.csv participants", everyone, set(found))
    newest = max(when for rows in pool.tables.values() for row in rows if (when := moment(first(row, DATES))))
    journeys = {}
    for who in everyone & set(found):
        row, person = found[who], pool.people.get(who)
        due = pool.due(who)
        done = [slot for slot in due if pool.given[who][slot]]
        lost = [slot for slot in due if not pool.given[who][slot] and pool.logged[who][slot]]
        session = max(pool.reached[who]) if pool.reached.get(who) else None
        last = max(filter(None, (pool.last.get(who), person and person["enrolled"])), default=None)
        idle = (newest - last).total_seconds() / 86400 if last else None
        complete = session is not None and session in pool.completed[who]
        wait = pool.sessions[session + 1].get("gap_days", 0) if complete and session + 1 < len(pool.sessions) else 0
        if session is None:
            standing = "not started"
        elif complete and session + 1 == len(pool.sessions):
            standing = "finished"
        else:
            standing = "dropped out" if idle is None or idle > IDLE + wait else "active"
        everything = sum(1 for slot in pool.slots if slot[2] in pool.tables)
        expected = {
            "test_account": "true" if person and person["test"] else "false",
            "condition": person["condition"] if person else "",
            "server_session": person["server"] if person else "",
            "standing": standing, "session": pool.names[session] if session is not None else "",
            "task": pool.task[who][1] if who in pool.task else "",
            "sessions_completed": len(pool.completed[who]), "due": len(due), "done": len(done), "missing": len(due) - len(done),
            "percent_missing": percent(len(due) - len(done), len(due)), "logged_not_there": len(lost),
            "skipped": len(due) - len(done) - len(lost), "ahead": everything - len(due), "extra": pool.extra[who],
            "second_entries": pool.repeated[who], "entries": pool.entries[who],
            "enrolled": person["enrolled"].astimezone(newest.tzinfo).date().isoformat() if person and person["enrolled"] else "",
            "last_activity": last.astimezone(newest.tzinfo).date().isoformat() if last else "",
            "days_since": f"{idle:.1f}" if idle is not None else "",
        }
        for field, value in expected.items():
            same(f"participants.csv {who} {field}", str(value), row[field])
        journeys[who] = {
            "counts": (person is not None and not person["test"]) or (person is None and not pool.has_roster),
            "session": session, "standing": standing, "condition": expected["condition"], "due": due, "person": person,
        }
    return journeys


def check_attrition(pool, folder, journeys):
    found = {(row["condition"], row["session"]): row for row in rows_of(folder / "attrition.csv")}
    members = {who: journey for who, journey in journeys.items() if journey["counts"]}
    conditions = {journey["condition"] for journey in members.values()}
    arms = [("all", members)]
    if len(conditions) > 1:
        arms += [(c, {w: j for w, j in members.items() if j["condition"] == c}) for c in conditions]
    for condition, arm in arms:
        for place, name in enumerate(pool.names):
            row = found.pop((condition, name), None)
            if row is None:
                problems.append(f"attrition.csv lacks {condition} {name}")
                continue
            reached = [who for who, j in arm.items() if j["session"] is not None and j["session"] >= place]
            here = [arm[who]["standing"] for who in reached if arm[who]["session"] == place]
            completed = [who for who in reached if arm[who]["session"] > place or place in pool.completed[who]]
            days = [
                (pool.reached[who][place] - arm[who]["person"]["enrolled"]).total_seconds() / 86400
                for who in arm
                if pool.reached.get(who, {}).get(place) and arm[who]["person"] and arm[who]["person"]["enrolled"]
            ]
            days = [d for d in days if d >= 0]
            for field, value in {
                "enrolled": len(arm), "reached": len(reached), "completed": len(completed),
                "dropped": here.count("dropped out"), "ongoing": here.count("active"), "finished": here.count("finished"),
                "percent_reached": percent(len(reached), len(arm)), "percent_completed": percent(len(completed), len(arm)),
                "percent_dropped": percent(here.count("dropped out"), len(arm)),
                "median_days": f"{statistics.median(days):.1f}" if days else "",
            }.items():
                same(f"attrition.csv {condition} {name} {field}", str(value), row[field])
    same("attrition.csv further rows", {}, found)


def check_questionnaires(pool, folder, journeys):
    found = {row["questionnaire"]: row for row in rows_of(folder / "questionnaires.csv")}
    columns = defaultdict(list)
    for row in rows_of(folder / "columns.csv"):
        columns[row["questionnaire"]].append(row)
    scheduled = {slot[2] for slot in pool.slots if slot[2]}
    same("questionnaires.csv rows", set(pool.tables) | scheduled, set(found))
    everyone = set(pool.given) | set(pool.logged)
    for name in (set(pool.tables) | scheduled) & set(found):
        row = found[name]
        slots = [n for n, slot in enumerate(pool.slots) if slot[2] == name]
        places = [(bool(pool.given[who][n]), bool(pool.logged[who][n])) for who in everyone for n in slots]
        due = [(who, n) for who, j in journeys.items() if j["counts"] for n in j["due"] if n in slots]
        missing = [1 for who, n in due if not pool.given[who][n]]
        expected = {
            "found": "true" if name in pool.tables else "false",
            "logged": sum(logged for _, logged in places),
            "only_in_log": sum(logged and not given for given, logged in places),
        }
        if name in pool.tables:
            rows = pool.tables[name]
            whose = [row["id"] if pool.kind(name) == "participants" else first(row, PARTICIPANT) or pool.of_study.get(row.get("study", ""), "") for row in rows]
            scored = folder.parent / "scored" / f"{name}.csv"
            expected |= {
                "kind": pool.kind(name), "entries": len(rows), "participants": len({who for who in whose if who}),
                "only_in_table": sum(given and not logged for given, logged in places), "second_entries": pool.second[name],
                "superseded": len(pool.all[name]) - len(rows), "due": len(due), "missing": len(missing),
                "percent_missing": percent(len(missing), len(due)), "scored": len(rows_of(scored)) if scored.exists() else "",
            }
            if pool.kind(name) == "questionnaire":
                asked, empty = (sum(int(column[field]) for column in columns[name]) for field in ("asked", "missing"))
                expected |= {"cells": asked, "cells_missing": empty, "percent_cells_missing": percent(empty, asked)}
        for field, value in expected.items():
            same(f"questionnaires.csv {name} {field}", str(value), row[field])


def check_ledger(pool, folder):
    found = {(row["scale"], row["day"]): row for row in rows_of(folder / "ledger.csv")}
    expected = defaultdict(Counter)
    name_of = re.compile(r"(.+)_(\d{4}-\d{2}-\d{2})_\d{2}-\d{2}-\d{2}(?:-\d+)?\.json")
    receipts = pool.folder / "receipts.jsonl"
    receipts = [json.loads(line) for line in receipts.read_text().splitlines()] if receipts.exists() else []
    recorded = {receipt.get("raw") for receipt in receipts}
    for path in (pool.folder / "raw_data").glob("*.json"):
        if (parts := name_of.fullmatch(path.name)) and parts[1] in pool.all:
            page = expected[parts[1], parts[2]]
            entries = len(json.loads(path.read_bytes()))
            page["raw_files"] += 1
            page["archived"] += entries
            page["unrecorded"] += 0 if path.name in recorded else entries
    for receipt in receipts:
        page = expected[receipt["scale"], receipt["day"]]
        for field in ("listed", "not_sent", "received", "stored", "already_held", "repeated"):
            page[field] += receipt[field]
        page["pending"] = receipt["pending"]
    for name, rows in pool.all.items():
        for row in rows:
            parts = name_of.fullmatch(row["_first_seen"])
            expected[name, parts[2] if parts else ""]["combined"] += 1
    deletions = pool.folder / "deletions.jsonl"
    if deletions.exists():
        for line in deletions.read_text().splitlines():
            entry = json.loads(line)
            if entry["step"] in ("confirmed", "failed"):
                expected[entry["scale"], entry["at"][:10]][f"deletions_{entry['step']}"] += 1
    same("ledger.csv rows", set(expected), set(found))
    for key in set(expected) & set(found):
        page = expected[key] | Counter()
        page["difference"] = page["archived"] - page["combined"]
        for field in set(found[key]) - {"scale", "day", "balanced"}:
            same(f"ledger.csv {key} {field}", str(page[field]), found[key][field])
        closes = page["archived"] == page["combined"] and page["stored"] == page["archived"] - page["unrecorded"]
        closes &= page["received"] == page["stored"] + page["already_held"] + page["repeated"]
        same(f"ledger.csv {key} balanced", str(closes).lower() if key[1] else "", found[key]["balanced"])


def check_weeks(pool, folder, journeys):
    monday = lambda day: day - timedelta(days=day.weekday())
    entries, enrolled = Counter(), Counter()
    newest = max(when for rows in pool.tables.values() for row in rows if (when := moment(first(row, DATES))))
    for name, rows in pool.tables.items():
        if pool.kind(name) == "questionnaire":
            entries.update(monday(when.date()) for row in rows if (when := moment(first(row, DATES))))
    for journey in journeys.values():
        if journey["counts"] and journey["person"] and journey["person"]["enrolled"]:
            enrolled[monday(journey["person"]["enrolled"].astimezone(newest.tzinfo).date())] += 1
    weeks = set(entries) | set(enrolled)
    expected, week, so_far = [], min(weeks), 0
    while week <= max(weeks):
        so_far += enrolled[week]
        expected.append({"week": week.isoformat(), "entries": str(entries[week]), "enrolled": str(so_far)})
        week += timedelta(days=7)
    same("weeks.csv", expected, rows_of(folder / "weeks.csv"))


def check_sessions(pool, folder, journeys):
    due, missing = Counter(), Counter()
    for who, journey in journeys.items():
        for n in journey["due"] if journey["counts"] else []:
            session, _, scale, _ = pool.slots[n]
            due[scale, pool.names[session]] += 1
            missing[scale, pool.names[session]] += not pool.given[who][n]
    found = {(row["questionnaire"], row["session"]): row for row in rows_of(folder / "sessions.csv")}
    same("sessions.csv rows", set(due), set(found))
    for key in set(due) & set(found):
        expected = [due[key], due[key] - missing[key], missing[key], percent(missing[key], due[key])]
        same(f"sessions.csv {key}", [str(value) for value in expected], list(found[key].values())[2:])


def check_answers(pool, folder):
    found = defaultdict(list)
    for row in rows_of(folder / "answers.csv"):
        found[row["questionnaire"], row["column"]].append(row)
    columns = {(row["questionnaire"], row["column"]): row for row in rows_of(folder / "columns.csv")}
    for (name, column), parts in found.items():
        scale, counts = pool.scales[name], Counter()
        least, most = scale.ranges[column]
        for entry in pool.tables[name]:
            when = moment(first(entry, DATES))
            kind = scale.meaning(column, entry[column], when and when.date())
            value = number(entry[column].strip())
            if kind == "answered" and value is not None:
                # The last of the bins that begin at or below it.
                begins = [float(part["answer"].split("–")[0]) for part in parts[:-4]]
                counts[parts[max(n for n, begin in enumerate(begins) if begin <= value)]["answer"]] += 1
            elif kind != "answered":
                counts[{"server": "lost"}.get(kind, kind)] += 1
        for part in parts:
            entries = int(columns[name, column]["entries"])
            expected = [str(counts[part["answer"]]), str(entries), percent(counts[part["answer"]], entries)]
            same(f"answers.csv {name}.{column} {part['answer']}", expected, list(part.values())[3:])
        begins = float(parts[0]["answer"].split("–")[0]), parts[-5]["answer"].split("–")[-1]
        same(f"answers.csv {name}.{column} ends", (float(least), float(most)), (begins[0], float(begins[1])))
    ranged = {
        (name, column) for name, scale in pool.scales.items() if name in pool.tables and pool.tables[name]
        for column, (least, most) in scale.ranges.items()
        if least is not None and most is not None and (name, column) in columns
    }
    same("answers.csv items", ranged, set(found))


def check_scores(pool, folder):
    found = {(row["scale"], row["score"], row["session"]): row for row in rows_of(folder / "scores.csv")}
    values = defaultdict(list)
    for path in (pool.folder / "scored").glob("*.csv"):
        for row in rows_of(path):
            if pool.people.get(first(row, PARTICIPANT), {}).get("test"):
                continue
            for score in [name for name in row if f"{name}_n_valid" in row]:
                if (value := number(row[score])) is not None:
                    values[path.stem, score, first(row, ["session", "sessionName"])].append(value)
    same("scores.csv rows", set(values), set(found))
    for key in set(values) & set(found):
        row, given = found[key], values[key]
        quartiles = statistics.quantiles(given, n=4, method="inclusive") if len(given) > 1 else given * 3
        same(f"scores.csv {key} n", str(len(given)), row["n"])
        expected = [statistics.fmean(given), min(given), *quartiles, max(given)]
        for field, value in zip(("mean", "least", "lower_quartile", "median", "upper_quartile", "most"), expected):
            if abs(float(row[field]) - value) > 0.0005000001:
                problems.append(f"scores.csv {key} {field}: expected {value}, the report has {row[field]}")


def check_checks(pool, folder):
    found = Counter(row["rule"] for row in rows_of(folder / "checks.csv"))
    flags = Counter(
        flag.split(":")[0]
        for name, rows in pool.tables.items()
        for row in rows
        for flag in filter(None, row["_flags"].split(";"))
    )
    for rule in ("R12", "R13", "R16"):
        same(f"checks.csv {rule}", flags[rule], found[rule])
    same("checks.csv R11", sum(person["test"] for person in pool.people.values()), found["R11"])
    same("checks.csv S5", sum(pool.extra.values()), found["S5"] + found["R9"])
    return sum(found.values())


def main():
    folder, study = Path(sys.argv[1]), tomllib.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    pool, reports = Pool(folder, study), folder / "reports"
    columns = check_columns(pool, reports)
    journeys = check_participants(pool, reports)
    check_attrition(pool, reports, journeys)
    check_questionnaires(pool, reports, journeys)
    check_ledger(pool, reports)
    check_weeks(pool, reports, journeys)
    check_sessions(pool, reports, journeys)
    check_answers(pool, reports)
    check_scores(pool, reports)
    findings = check_checks(pool, reports)
    for problem in problems[:40]:
        print(problem)
    print(f"{len(journeys)} participants, {columns} columns, {len(pool.tables)} tables, {findings} findings: {len(problems)} differences")
    sys.exit(1 if problems or not journeys else 0)


main()
