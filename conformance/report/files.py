"""The files of a run: run.json without its footer at the beginning, everything else at the end."""

from conformance.report import junit, record, summary
from conformance.report.folder import RunFolder

RUN = "run.json"


def open_run(folder: RunFolder, opening: record.Opening) -> None:
    """Writes run.json as it is while the run goes on; raises Unwritable."""
    folder.write(RUN, record.render(record.opened(opening)))


def close_run(folder: RunFolder, done: record.RunRecord) -> None:
    """Writes every report, run.json last; raises Unwritable and SecretInOutput."""
    folder.write("junit.xml", junit.render(done))
    folder.write("summary.md", summary.render(done))
    folder.write(RUN, record.render(record.closed(done)))
