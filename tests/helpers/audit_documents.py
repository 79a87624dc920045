"""Documents of audits with every kind of part, and plots of every kind."""

from __future__ import annotations

from client.audit.document import Curve, Document, Plot, Table, Text

LINE = Curve("spent", (0.0, 1.0, 2.0), (0.0, 1.5, 2.0))
LIMIT = Curve("budget", (0.0, 2.0), (3.0, 3.0), dashed=True)
PLOTS = {
    "a line and a limit": (LINE, LIMIT),
    "one point": (Curve("a", (1.0,), (2.0,)),),
    "constant": (Curve("a", (0.0, 5.0), (0.0, 0.0)),),
    "only limits": (LIMIT, Curve("claim", (0.0, 2.0), (3.1, 3.1), dashed=True)),
    "infinite": (Curve("a", (0.0, 1.0, 2.0), (1.0, float("inf"), float("nan"))),),
    "nothing finite": (Curve("a", (0.0,), (float("inf"),)),),
    "no points": (Curve("a", (), ()),),
    "decades": (Curve("a", (1e-9, 1e-6, 1e-3), (1.0, 2.0, 3.0)),),
    "curves decades apart": (LINE, Curve("b", (1.0, 2.0), (1e7, 2e7)), Curve("c", (1.0,), (1e-9,))),
    "below zero": (Curve("a", (-3.5, 1.0), (-2.0, 4.0)),),
    "tiny": (Curve("a", (0.0, 1e-12), (1e-300, 2e-300)),),
    "huge": (Curve("a", (0.0, 1e300), (-1e300, 1e300)),),
    "many curves": tuple(Curve(f"{i}", (0.0, 1.0), (0.0, float(i))) for i in range(15)),
    "many points": (Curve("a", tuple(map(float, range(500))), tuple(map(float, range(500)))),),
}


def document(*curves: Curve, words: str = "words") -> Document:
    """A sound audit with `words` wherever an audit has words of others."""
    return Document(
        title=words,
        verdict="sound",
        summary=words,
        parts=(
            Text(words, (words, f"{words}\nmore")),
            Table(words, (words, "ε"), ((words, "1.25"), (f"{words}\nmore", "∞")), words),
            Table("empty", ("a",), ()),
            Plot(words, "round", "ε", curves or (LINE, LIMIT), words),
        ),
        data={"adjacency": words},
    )
