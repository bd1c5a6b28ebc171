"""What the commands print of servers, of the log and of what is made of it: data on stdout, as JSON or for people;
sentences on stderr. Of sources and their crawls `workers.source_report` prints.
"""

import json
from dataclasses import asdict
from typing import Any

from indexer.exported import Exported
from indexer.past import Difference
from indexer.verify import NAMED, Report
from schemas.names import document_id
from workers import archive
from workers.redacting import Redacted
from workers.terminal import json_out, line, say, table

Json = dict[str, Any]


def found(answer: Json, *, as_json: bool) -> None:
    """What `search` found."""
    if as_json:
        json_out(answer)
        return
    table(
        ["name", "version", "description"],
        [[hit["name"], hit["version"], (hit["description"] or "")[:80]] for hit in answer["hits"]],
    )
    for facet, values in answer["facets"].items():
        line(f"{facet}:", ", ".join(f"{value} {count}" for value, count in values.items()))
    line(f"{len(answer['hits'])} of {answer['total']}")


def entry(found_entry: Json, *, as_json: bool) -> None:
    """An entry with its versions."""
    if as_json:
        json_out(found_entry)
        return
    for key, value in found_entry.items():
        if key not in ("versions", "server_json") and value not in (None, [], ""):
            line(f"{key}:", value if isinstance(value, str | int) else json.dumps(value))
    table(
        ["version", "source", "status", "valid", "published", "problems"],
        [
            [one["version"], one["source"], one["status"], one["valid"], one["published_at"], len(one["problems"])]
            for one in found_entry["versions"]
        ],
    )


def event(recorded: Json, *, as_json: bool) -> None:
    """One event."""
    if as_json:
        json_out(recorded)
        return
    version = recorded["data"].get("version")
    line(
        recorded["id"],
        recorded["recordedtime"],
        recorded["type"],
        recorded["subject"],
        "" if version is None else version,
    )


def difference(one: Difference, *, as_json: bool) -> None:
    """What became of one server."""
    if as_json:
        said = {"id": document_id(one.name), "name": one.name, "change": one.change, "version": one.version}
        json_out({**said, "fields": list(one.after), "before": one.before, "after": one.after})
        return
    line(f"{one.change:<7}", one.name, one.version or "-", ", ".join(one.after))


def rebuilt(result: Json, *, as_json: bool) -> None:
    """What was rebuilt."""
    if as_json:
        json_out(result)
        return
    for one in result["projections"]:
        line(f"{one['name']}: checkpoint {one['checkpoint']}, lag {one['lag']}")


def verified(found_report: Report, *, repaired: bool, as_json: bool) -> None:
    """Whether log, catalogue and index agree."""
    index = found_report.index
    differences = {"missing": index.missing, "extra": index.extra, "different": index.different}
    result: Json = {
        "ok": found_report.ok or repaired,
        "repaired": repaired,
        "log": {"events": found_report.log.events, "damaged": found_report.log.damaged[:NAMED]},
        "catalogue": asdict(found_report.catalogue),
        "index": {"documents": index.documents},
    }
    for kind, names in differences.items():
        result["index"][kind] = sorted(names.values())[:NAMED]
        result["index"][f"{kind}_count"] = len(names)
    if as_json:
        json_out(result)
        return
    line(f"log: {result['log']['events']} events, {len(found_report.log.damaged)} damaged")
    for damage in result["log"]["damaged"]:
        line("  damaged:", damage)
    agrees = found_report.catalogue.digest == found_report.catalogue.expected
    line(f"catalogue: {found_report.catalogue.entries} entries, {'' if agrees else 'not '}as the log says")
    line(f"index: {index.documents} documents, {index.summary}")
    for kind in differences:
        for name in result["index"][kind]:
            line(f"  {kind}:", name)
    if repaired:
        line("repaired: log, catalogue and index agree now")


def exported(file: str, found: Exported, *, as_json: bool) -> None:
    """What was exported; where a program may read that from stdout, a sentence on stderr."""
    if archive.is_stream(file):
        say(_exported("Exported", found))
    elif as_json:
        json_out({"file": file, **asdict(found)})
    else:
        line(_exported(f"{file}:", found))


def imported(file: str, found: Exported, *, as_json: bool) -> None:
    """What was imported, or was there already."""
    if as_json:
        json_out({"file": file, **asdict(found)})
        return
    line(_exported("The log has", found))
    say("The index follows with the next crawl, or now: `mcp-indexer rebuild search`.")


def _exported(what: str, found: Exported) -> str:
    return f"{what} {found.events} events up to position {found.position}, digest {found.digest}"


def redacted(result: Redacted, *, as_json: bool) -> None:
    """What was blanked."""
    done, error = result.redaction, result.index_error
    if error is not None:
        say(f"{error} The index still shows what is blank in the log; the same command again takes it out.")
    if as_json:
        json_out({"digests": done.digests, "blanked": len(done.new), "log": {"position": done.position}})
        return
    new, before = len(done.new), len(done.digests) - len(done.new)
    said = f"{new} record is blank now" if new == 1 else f"{new} records are blank now"
    line(said + (f", {before} {'was' if before == 1 else 'were'} before" if before else ""))


def keys(found_keys: Json, *, as_json: bool) -> None:
    """The index's address and its search key."""
    if as_json:
        json_out(found_keys)
        return
    for key, value in found_keys.items():
        line(f"{key}:", value)


def examined(parts: list[Json], *, as_json: bool) -> None:
    """Every part, and what to do where it does not work."""
    for part in parts:
        if as_json:
            json_out(part)
        else:
            line("ok " if part["ok"] else "NOT", f"{part['part']}: {part['said']}")
