"""Papers to measure with: invoices, letters and contracts of about the length of real ones, no two alike."""

import random
from pathlib import Path

_WORD_LIST = """\
account address answer applied approved arrived attached balance before building business changed city
client collected company complete concerned condition confirmed considered copy costs customer daily
delivered department described desk details difference directly discussed early east enclosed energy engine
enough entrance equipment estimate evening exact example expected external facts family final follow former
garden general glass ground group heating history house however inside instead interest kitchen ladder
language large later level light limit local longer machine market material matter measure meeting member
message metal middle minor moment month moved museum needed nothing notice office older opened ordinary
outside owner paper parcel partner patient period person piece planned platform pleasant position possible
present prices problem product promise proper public quarter quick quiet reached reason recent record region
repair replaced request result return river road round schedule season second send separate service several
shipment simple single smaller south space special standard station storage street strong supply surface
table teacher telephone thought together travel trouble understand upper useful valley value village visit
water weather weekly west window without wood yellow"""
_WORDS = _WORD_LIST.split()
_FIRST_NAMES = (
    "Ada Bela Cora Dario Edda Falk Gesa Hanno Ilka Jarl Kaja Lars Mina Nils Olga Piet Rika Sven Tilda"
)
_LAST_NAMES = (
    "Ahrens Bruns Carlsen Dirks Ebert Fehr Gabler Hoyer Imhof Jessen Kolb Lange Menke Noll Oster Pohl"
)
_FIRST, _LAST = _FIRST_NAMES.split(), _LAST_NAMES.split()


def _invoice(chance: random.Random) -> str:
    number, total = chance.randrange(10_000, 99_999), chance.randrange(2_000, 90_000) / 100
    return (
        f"Invoice\nInvoice number: R-{number}\nInvoice date: 2026-{chance.randrange(1, 13):02}-14\n"
        f"Seller: {_name(chance)} Works Ltd\nBuyer: {_name(chance)}\nAmount due: {total:.2f} EUR\n"
        "Payable net on the bill within 14 days.\n"
    )


def _letter(chance: random.Random) -> str:
    return (
        f"Dear {_name(chance)},\n\nthank you for writing to us on 2026-0{chance.randrange(1, 10)}-03. "
        "With kind wishes and regards,\n"
        f"Sender: {_name(chance)}\nDate: 2026-0{chance.randrange(1, 10)}-11\nYours sincerely\n"
    )


def _contract(chance: random.Random) -> str:
    return (
        f"Contract\nThis agreement is made between the parties {_name(chance)} and {_name(chance)}.\n"
        f"Start date: 2026-0{chance.randrange(1, 10)}-01\nTermination: each party may end the contract with "
        f"a notice of {chance.randrange(1, 7)} months. The obligations of the clause on termination stay.\n"
    )


KINDS = {"invoice": _invoice, "letter": _letter, "contract": _contract}


def paper(seed: int, characters: int) -> str:
    """The text of one paper; its category goes round by the seed."""
    chance = random.Random(seed)
    kind = list(KINDS.values())[seed % len(KINDS)]
    head = f"Reference {chance.randrange(16**6):06x}\n{kind(chance)}\n"
    lines = [head]
    while sum(map(len, lines)) < characters:
        words = chance.choices(_WORDS, k=chance.randrange(9, 15))
        lines.append(f"{' '.join(words).capitalize()}.\n")
    return "".join(lines)


def write_papers(folder: Path, count: int, characters: int, first: int = 0) -> list[Path]:
    """Papers as text files; with the same arguments always the same."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(first, first + count):
        path = folder / f"paper-{number:05}.txt"
        path.write_text(paper(number, characters), encoding="utf-8")
        paths.append(path)
    return paths


def _name(chance: random.Random) -> str:
    return f"{chance.choice(_FIRST)} {chance.choice(_LAST)}"
