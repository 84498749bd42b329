"""The live view shows each borrower's drawdowns by funder, and what its letters, numbers and colours mean."""

from rich.console import Console
from rich.segment import Segment

from cli.view import screen
from rotation.policy import Policy
from tests.market.played import REVISION, START, Played

POLICY = Policy(REVISION, {}, -1)
EIGHT_HOURS = 8 * 3_600_000


def _lines(played: Played, *, size: tuple[int, int] = (100, 30), now: int | None = None) -> list[list[Segment]]:
    width, height = size
    console = Console(width=width, height=height, force_terminal=True, color_system="standard", _environ={})
    at = played.now if now is None else now
    view = screen(POLICY, played.journal, now=at, size=size, status="12 s, seed 7")
    return console.render_lines(view, console.options.update(height=height))


def _text(lines: list[list[Segment]]) -> str:
    return "\n".join("".join(segment.text for segment in line) for line in lines)


def _row(lines: list[list[Segment]], start: str) -> list[Segment]:
    return next(line for line in lines if start in "".join(segment.text for segment in line))


def test_a_borrowers_row_tells_their_rotation() -> None:
    """A letter for each drawdown in order: small when it came to nothing, underlined when rules were given up."""
    played = Played()
    played.routed("cust-1", "bank-jiangnan", "disbursed")
    played.routed("cust-1", "bank-lingnan", "declined")
    played.routed("cust-1", "cf-north", relaxed=("cooldown",))
    letters = [s for s in _row(_lines(played), "cust-1") if s.text.strip() in ("A", "b", "E")][:3]
    assert [s.text for s in letters] == ["A", "b", "E"]
    styles = [s.style for s in letters if s.style is not None]
    assert [bool(style.underline) for style in styles] == [False, False, True]
    assert [bool(style.reverse) for style in styles] == [True, False, True]
    assert len({style.color for style in styles}) == 3


def test_a_borrowers_share_is_shown_against_the_cap() -> None:
    """The top funder's part of the last five loans; red above the cap of two, and nothing before five."""
    played = Played()
    for funder_id in ("cf-north", "cf-west", "cf-north", "bank-town", "cf-west"):
        played.routed("cust-1", funder_id, "disbursed")
        played.routed("cust-2", "cf-west", "disbursed")
    played.routed("cust-3", "cf-west", "disbursed")
    lines = _lines(played)
    for customer_id, share, colour in (("cust-1", "2/5", "green"), ("cust-2", "5/5", "red")):
        segment = next(s for s in _row(lines, customer_id) if s.text == share)
        assert segment.style is not None
        assert segment.style.color is not None
        assert segment.style.color.name == colour
    assert "/5" not in _text([_row(lines, "cust-3")]).partition("││")[0]


def test_funders_show_share_quota_and_answers() -> None:
    """Parts of all routed drawdowns and of today's quota, given back when nothing comes of them; who is closed."""
    played = Played()
    town = next(funder for funder in REVISION.config.funders if funder.id == "bank-town")
    for _ in range(3):
        played.routed("cust-1", "bank-town", "disbursed")
    played.routed("cust-1", "bank-town", "declined")
    used = 3 * 500_000 / town.quota.daily_amount
    row = _text([_row(_lines(played), "bank-town")])
    assert "100%" in row.partition("bank-town")[2].split()[0]
    assert f"{used:.0%}" in row
    assert row.split()[-2] == "75%"
    closed = _text([_row(_lines(played, now=START + EIGHT_HOURS), "trust-south")])
    assert closed.split()[-2] == "closed"


def test_figures_count_whole_seconds() -> None:
    """Decisions a second over the last five, seconds without any among them; the median; planted and refused."""
    played = Played()
    for _ in range(10):
        played.routed("cust-1", "cf-west", took_ms=70)
    played.dead_letter("schema")
    text = _text(_lines(played))
    assert "10 decisions (10 routed, 0 held, 0 rejected), 0 not decided yet" in text
    assert "median 70 ms; bad records: 1 planted, 1 in dead letters" in text
    for later_ms, rate in ((0, "1"), (60_000, "0")):
        line = _text([_row(_lines(played, now=played.now + later_ms), "decisions a second")])
        assert line.split()[-2] == rate


def test_everything_fits_from_100_columns_and_30_lines() -> None:
    """No heading, legend or figure is cut, and borrowers keep their row while there is room for more."""
    played = Played()
    for number in range(60):
        for funder in REVISION.config.funders:
            played.routed(f"cust-{number:04d}", funder.id, "disbursed", relaxed=tuple(POLICY.relax_order))
    for size, rows in (((100, 30), 21), ((120, 40), 31)):
        lines = _lines(played, size=size)
        text = _text(lines)
        assert len(lines) == size[1]
        assert "…" not in text
        assert [n for n in range(60) if f"cust-{n:04d}" in text] == list(range(rows))
        legend = "2/5  of the last 5 at one funder: the cap; red above"
        assert legend in text
        assert "12 s, seed 7" in text
