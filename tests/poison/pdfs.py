"""PDFs that are endless, huge, or drawn within each other without end."""

import zlib

PAGES = 100_000
_LEVELS = 30


def pdf(objects: dict[int, bytes], streams: dict[int, tuple[bytes, bytes]] | None = None) -> bytes:
    """A PDF of these objects, with its table; the catalogue is object 1. Streams: dictionary and data."""
    whole = {
        **objects,
        **{
            number: b"<<" + entries + b"/Length %d>>stream\n" % len(data) + data + b"\nendstream"
            for number, (entries, data) in (streams or {}).items()
        },
    }
    pieces, places, here = [b"%PDF-1.7\n"], {}, 9
    for number, content in whole.items():
        piece = b"%d 0 obj\n%s\nendobj\n" % (number, content)
        places[number] = here
        pieces.append(piece)
        here += len(piece)
    size = max(whole) + 1
    table = b"".join(
        b"%010d 00000 n \n" % places[n] if n in places else b"0000000000 65535 f \n" for n in range(size)
    )
    end = b"xref\n0 %d\n%strailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (
        size,
        table,
        size,
        here,
    )
    return b"".join(pieces) + end


_CATALOGUE = b"<</Type/Catalog/Pages 2 0 R>>"
_FONT = b"/Font<</F<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>"
_BOX = b"/MediaBox[0 0 595 842]"


def _one_page(entries: bytes, box: bytes = _BOX) -> dict[int, bytes]:
    return {
        1: _CATALOGUE,
        2: b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        3: b"<</Type/Page/Parent 2 0 R" + box + entries + b">>",
    }


def of_many_pages() -> bytes:
    """A hundred thousand empty pages."""
    kids = b" ".join(b"%d 0 R" % number for number in range(3, PAGES + 3))
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]>>"
    tree = b"<</Type/Pages/Count %d/Kids[%s]>>" % (PAGES, kids)
    return pdf({1: _CATALOGUE, 2: tree, **dict.fromkeys(range(3, PAGES + 3), page)})


def that_claims_pages() -> bytes:
    """Two thousand million pages, as its tree says, and one."""
    return pdf({**_one_page(b""), 2: b"<</Type/Pages/Kids[3 0 R]/Count 2000000000>>"})


def of_a_deep_page_tree() -> bytes:
    """One page under ten thousand branches."""
    depth = 10_000
    tree = {
        n: b"<</Type/Pages/Count 1/Parent %d 0 R/Kids[%d 0 R]>>" % (n - 1, n + 1) for n in range(2, depth)
    }
    return pdf({1: _CATALOGUE, **tree, depth: b"<</Type/Page/Parent %d 0 R%s>>" % (depth - 1, _BOX)})


def of_a_page_tree_in_a_circle() -> bytes:
    """A tree whose branch is its own root."""
    return pdf(
        {
            1: _CATALOGUE,
            2: b"<</Type/Pages/Count 5/Kids[2 0 R 2 0 R 3 0 R]>>",
            3: b"<</Type/Pages/Kids[2 0 R]>>",
        }
    )


def of_forms_in_forms() -> bytes:
    """Thirty forms, each of which draws the next one ten times."""
    streams = {
        number: (
            b"/Type/XObject/Subtype/Form/BBox[0 0 600 900]/Resources<</XObject<</N %d 0 R>>%s>>"
            % (number + 1, _FONT),
            b"/N Do " * 10,
        )
        for number in range(10, 10 + _LEVELS)
    }
    last = 10 + _LEVELS
    streams[last] = (
        b"/Type/XObject/Subtype/Form/BBox[0 0 600 900]/Resources<<%s>>" % _FONT,
        b"BT /F 9 Tf 50 700 Td (deep) Tj ET",
    )
    streams[4] = (b"", b"/N Do")
    return pdf(_one_page(b"/Contents 4 0 R/Resources<</XObject<</N 10 0 R>>>>"), streams)


def of_a_huge_page() -> bytes:
    """A page of a hundred square kilometres, with one word."""
    content = {4: (b"", b"BT /F 9 Tf 50 700 Td (wide) Tj ET")}
    box = b"/MediaBox[0 0 40000000 30000000]/UserUnit 10"
    return pdf(_one_page(b"/Contents 4 0 R/Resources<<" + _FONT + b">>", box), content)


def of_a_swollen_stream() -> bytes:
    """A page whose content unpacks to gigabytes, four times packed."""
    data = b"q Q " * 250_000
    packer = zlib.compressobj(9)
    data = packer.compress(data) + packer.flush(zlib.Z_FULL_FLUSH)
    unit = zlib.compressobj(9)
    unit.compress(b"q Q " * 250_000)
    unit.flush(zlib.Z_FULL_FLUSH)
    repeated = unit.compress(b"q Q " * 250_000) + unit.flush(zlib.Z_FULL_FLUSH)
    data = data + repeated * 4_000
    return pdf(
        _one_page(b"/Contents 4 0 R"), {4: (b"/Filter[/FlateDecode/FlateDecode]", zlib.compress(data, 9))}
    )


def of_a_huge_image() -> bytes:
    """A page with an image of 60,000 by 60,000 pixels."""
    row = bytes(1_000_000)
    packer = zlib.compressobj(9)
    first = packer.compress(row) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(row) + packer.flush(zlib.Z_FULL_FLUSH)
    image = (
        b"/Type/XObject/Subtype/Image/Width 60000/Height 60000/ColorSpace/DeviceGray/BitsPerComponent 8"
        b"/Filter/FlateDecode",
        first + again * 3_599,
    )
    content = (b"", b"600 0 0 800 0 0 cm /I Do")
    return pdf(_one_page(b"/Contents 4 0 R/Resources<</XObject<</I 5 0 R>>>>"), {4: content, 5: image})


def of_nested_arrays() -> bytes:
    """A page whose annotations are arrays in arrays."""
    return pdf(_one_page(b"/Annots" + b"[" * 500_000 + b"]" * 500_000))


def of_nested_operators() -> bytes:
    """A page that saves its state, opens texts and arrays millions of times."""
    return pdf(
        _one_page(b"/Contents 4 0 R"),
        {4: (b"/Filter/FlateDecode", zlib.compress(b"q [ BT << " * 3_000_000, 9))},
    )


def of_endless_text() -> bytes:
    """A page of ten million glyphs."""
    text = b"BT /F 9 Tf 9 700 Td " + b"(Lorem ipsum dolor sit amet) Tj 0 -1 Td " * 400_000 + b" ET"
    content = {4: (b"/Filter/FlateDecode", zlib.compress(text, 9))}
    return pdf(_one_page(b"/Contents 4 0 R/Resources<<" + _FONT + b">>"), content)


def of_a_pattern_in_itself() -> bytes:
    """A tiling pattern that is painted with itself, on a page of tiny tiles."""
    pattern = (
        b"/Type/Pattern/PatternType 1/PaintType 1/TilingType 1/BBox[0 0 1 1]/XStep .001/YStep .001"
        b"/Resources<</Pattern<</P 5 0 R>>>>",
        b"/Pattern cs /P scn 0 0 900 900 re f",
    )
    content = (b"", b"/Pattern cs /P scn 0 0 900 900 re f")
    return pdf(_one_page(b"/Contents 4 0 R/Resources<</Pattern<</P 5 0 R>>>>"), {4: content, 5: pattern})
