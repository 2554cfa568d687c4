"""datapackage.json by another program: its description is valid, and all that it finds in the tables is flagged there.

    package.py SERVER_FOLDER
"""
import csv, json, pathlib, sys

from frictionless import Package

folder = pathlib.Path(sys.argv[1])
package = Package(str(folder / "datapackage.json"))
report = package.validate(limit_errors=1_000_000)
assert not report.errors, [error.message for error in report.errors]

described = {resource.path for resource in package.resources}
written = {str(path.relative_to(folder)) for part in ("combined", "scored") for path in (folder / part).glob("*.csv")}
assert described == written | {"codebook.csv"}, described ^ written

checks = list(csv.DictReader(open(folder / "reports/checks.csv", newline="")))
flagged = {(row["scale"], row["entry_id"], row["column"]) for row in checks}
found = 0
for task in report.tasks:
    part, _, _ = task.place.partition("/")
    rows = list(csv.DictReader(open(folder / task.place, newline="")))
    for error in task.errors:
        assert hasattr(error, "field_name"), f"{task.place}: {error.message}"
        row = rows[error.row_number - 2]
        scale = pathlib.Path(task.place).stem
        assert (scale, row["id"], error.field_name) in flagged, f"{task.place}: not flagged: {error.message}"
        found += 1
labels = [code for resource in package.resources for field in resource.schema.to_descriptor()["fields"]
          for code in field.get("missingValues", []) if isinstance(code, dict)]
assert any(code["label"] == "declined" for code in labels), "no labelled missing values"
print(f"{len(described)} tables valid; {found} cells outside their range, all of them in checks.csv")
