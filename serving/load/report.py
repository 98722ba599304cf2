"""The figures as Markdown, and whether they reach their aims."""

from serving.load.cells import BARE
from serving.load.payload import GRPC

_MAX_P50 = 1.5
_MIN_IMAGES = 0.8
_MAX_GROWTH = 0.02
_SHOWN_FAULTS = 3


def table(cells: list[dict]) -> str:
    """One line per figure of `cells.measure`, then the aims."""
    lines = [
        "| images per request | clients | what | p50 ms | p99 ms | requests/s "
        "| images/s | p50 to bare | images/s to bare |",
        "| ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for c in cells:
        lines.append(
            f"| {c['batch_size']} | {c['clients']} | {c['what']} "
            f"| {c['p50_ms']:.2f} | {c['p99_ms']:.2f} "
            f"| {c['requests_per_second']:,.1f} "
            f"| {c['images_per_second']:,.1f} "
            f"| {c['p50_of_bare']:.2f} | {c['images_of_bare']:.2f} |"
        )
    return "\n".join(lines + ["", *_aims(cells), *_faults(cells)])


def soak(result: dict) -> str:
    """A sentence or two on `soak.run`."""
    lines = [
        f"{result['requests']:,} requests: {len(result['faults'])} errors or "
        "wrong answers."
    ]
    resident = result["resident_mib"]
    if resident:
        growth = resident[-1] / resident[1] - 1
        lines.append(
            "Memory of the server at the start, each quarter and the end: "
            + ", ".join(f"{mib:,.0f}" for mib in resident)
            + f" MiB; {100 * growth:+.1f} % after the first quarter "
            f"({_verdict(growth <= _MAX_GROWTH)}: at most "
            f"{100 * _MAX_GROWTH:.0f} %)."
        )
    return "\n".join(lines + _faults([result]))


def _aims(cells: list[dict]) -> list[str]:
    lines = []
    for c in cells:
        if c["what"] != GRPC:
            continue
        if (c["batch_size"], c["clients"]) == (1, 1):
            lines.append(
                f"gRPC at batch 1, one client: {c['p50_of_bare']:.2f} times "
                "the bare call at p50 "
                f"({_verdict(c['p50_of_bare'] <= _MAX_P50)}: at most "
                f"{_MAX_P50})."
            )
        if c["clients"] == 32:
            best = max(
                b["images_per_second"]
                for b in cells
                if b["what"] == BARE and b["batch_size"] == c["batch_size"]
            )
            share = c["images_of_bare"]
            lines.append(
                f"gRPC at batch {c['batch_size']}, 32 clients: "
                f"{100 * share:.0f} % of the images/s of as many bare calls "
                f"({_verdict(share >= _MIN_IMAGES)}: at least "
                f"{100 * _MIN_IMAGES:.0f} %), "
                f"{100 * c['images_per_second'] / best:.0f} % of the best of "
                "the bare session."
            )
    return lines


def _verdict(reached: bool) -> str:
    return "aim reached" if reached else "aim missed"


def _faults(results: list[dict]) -> list[str]:
    faults = [fault for r in results for fault in r["faults"]]
    if not faults:
        return []
    return [
        f"{len(faults)} requests failed or got a wrong answer, first of all:",
        *dict.fromkeys(faults[:_SHOWN_FAULTS]),
    ]
