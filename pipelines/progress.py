"""What a person sees while a run goes on: a live table on a terminal, plain lines elsewhere."""

import time
from types import TracebackType
from typing import Self, TextIO

from pipelines.backends.local import Event

MARKS = {"running": "[yellow]●[/]", "succeeded": "[green]✓[/]", "cached": "[green]✓[/]", "failed": "[red]✗[/]"}


class Progress:
    """A context manager; give :meth:`show` every event of the run."""

    def __init__(self, stream: TextIO, model: str) -> None:
        self._stream, self._model = stream, model
        self._began = time.monotonic()
        self._steps: dict[str, tuple[str, str, float]] = {}
        """State, remark and start (monotonic seconds) or duration, by step."""
        self._live = None

    def __enter__(self) -> Self:
        if self._stream.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(get_renderable=self._table, console=Console(file=self._stream), refresh_per_second=8)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def show(self, event: Event) -> None:
        """Take one event in."""
        match event.kind:
            case "step started":
                self._change(event.step, "running", "" if event.attempt < 2 else f"attempt {event.attempt}", None)
            case "step succeeded":
                self._change(event.step, "succeeded", "", event.seconds)
            case "step cached":
                self._change(event.step, "cached", "unchanged, from the cache", 0.0)
            case "step resumed":
                self._change(event.step, "cached", "kept from before", 0.0)
            case "step retried":
                self._change(event.step, "running", f"again: {event.detail}", event.seconds)
            case "step failed":
                self._change(event.step, "failed", "", event.seconds)

    def _change(self, step: str, state: str, remark: str, seconds: float | None) -> None:
        self._steps[step] = (state, remark, time.monotonic() if seconds is None else seconds)
        if self._live:
            self._live.refresh()
        else:
            took = "" if seconds is None else f" {seconds:.1f} s"
            note = f" ({remark})" if remark else ""
            print(f"{time.monotonic() - self._began:6.1f}  {step} {state}{took}{note}", file=self._stream, flush=True)

    def _table(self):
        from rich.table import Table

        table = Table.grid(padding=(0, 2))
        for step, (state, remark, seconds) in self._steps.items():
            shown = time.monotonic() - seconds if state == "running" else seconds
            table.add_row(f"  {MARKS[state]}", step, f"{shown:.1f} s", f"[dim]{remark}[/]")
        return table
