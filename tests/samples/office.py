"""Office files, mail and plain text, written by hand: the least that each format asks for."""

from email.message import EmailMessage
from email.policy import SMTP
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from tests.samples.invoices import GERMAN

_XML = '<?xml version="1.0" encoding="UTF-8"?>'
_OPENXML = "http://schemas.openxmlformats.org"
_RELS = f"{_OPENXML}/package/2006/relationships"
_DOC_RELS = f"{_OPENXML}/officeDocument/2006/relationships"
_OFFICE_TYPE = "application/vnd.openxmlformats-officedocument"
_OPENDOC = "urn:oasis:names:tc:opendocument:xmlns"


def archive(files: dict[str, str | bytes]) -> bytes:
    """A ZIP with fixed dates; an entry named `mimetype` comes first and uncompressed, as ODF and EPUB ask."""
    buffer = BytesIO()
    with ZipFile(buffer, "w") as target:
        for name, content in files.items():
            entry = ZipInfo(name, date_time=(2026, 1, 1, 0, 0, 0))
            entry.compress_type = ZIP_STORED if name == "mimetype" else ZIP_DEFLATED
            target.writestr(entry, content)
    return buffer.getvalue()


def _openxml(main: str, kind: str, parts: dict[str, str], types: dict[str, str] | None = None) -> bytes:
    overrides = {main: kind, **(types or {})}
    content_types = "".join(
        f'<Override PartName="/{part}" ContentType="{_OFFICE_TYPE}.{name}+xml"/>'
        for part, name in overrides.items()
    )
    return archive(
        {
            "[Content_Types].xml": (
                f'{_XML}<Types xmlns="{_OPENXML}/package/2006/content-types">'
                '<Default Extension="rels" '
                'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
                f'<Default Extension="xml" ContentType="application/xml"/>{content_types}</Types>'
            ),
            "_rels/.rels": _relations({"rId1": ("officeDocument", main)}),
            **parts,
        }
    )


def _relations(targets: dict[str, tuple[str, str]]) -> str:
    entries = "".join(
        f'<Relationship Id="{key}" Type="{_DOC_RELS}/{kind}" Target="{target}"/>'
        for key, (kind, target) in targets.items()
    )
    return f'{_XML}<Relationships xmlns="{_RELS}">{entries}</Relationships>'


def docx() -> bytes:
    """A letter with a letterhead, a footer, and a table whose last row has merged cells."""

    def paragraph(text: str) -> str:
        return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"

    def part(root: str, content: str) -> str:
        return f'{_XML}<w:{root} xmlns:w="{_OPENXML}/wordprocessingml/2006/main">{content}</w:{root}>'

    body = "".join(
        paragraph(text)
        for text in (
            "Dear members,",
            "the annual meeting of the allotment society is on 4 June 2026 at 7 pm in the parish hall.",
            "Please bring your own chair.",
        )
    )
    wide = '<w:tcPr><w:gridSpan w:val="2"/></w:tcPr>'
    rows = [[("Plot", ""), ("Rent", "")], [("17", ""), ("48.00 GBP", "")], [("Paid in full", wide)]]
    table = "".join(
        "<w:tr>" + "".join(f"<w:tc>{props}{paragraph(text)}</w:tc>" for text, props in row) + "</w:tr>"
        for row in rows
    )
    files = {
        "word/document.xml": part("document", f"<w:body>{body}<w:tbl>{table}</w:tbl></w:body>"),
        "word/header1.xml": part("hdr", paragraph("Allotment Society of Whitby")),
        "word/footer1.xml": part("ftr", paragraph("Account 12345678, sort code 11-22-33")),
    }
    return _openxml(
        "word/document.xml",
        "wordprocessingml.document.main",
        {
            "word/_rels/document.xml.rels": _relations(
                {"rId1": ("header", "header1.xml"), "rId2": ("footer", "footer1.xml")}
            ),
            **files,
        },
        {"word/header1.xml": "wordprocessingml.header", "word/footer1.xml": "wordprocessingml.footer"},
    )


def xlsx() -> bytes:
    """A workbook of two sheets."""

    def sheet(rows: list[list[str | float]]) -> str:
        def cell(value: str | float) -> str:
            if isinstance(value, str):
                return f'<c t="inlineStr"><is><t>{value}</t></is></c>'
            return f"<c><v>{value}</v></c>"

        data = "".join("<row>" + "".join(map(cell, row)) + "</row>" for row in rows)
        return (
            f'{_XML}<worksheet xmlns="{_OPENXML}/spreadsheetml/2006/main"><sheetData>{data}</sheetData>'
            "</worksheet>"
        )

    sheets = {
        "Income": sheet([["Source", "Amount"], ["Plot rents", 1440.5], ["Seed sale", 212.25]]),
        "Costs": sheet([["Item", "Amount"], ["Water", 310.0], ["Gravel", 95.75]]),
    }
    names = "".join(
        f'<sheet name="{name}" sheetId="{index}" r:id="rId{index}"/>' for index, name in enumerate(sheets, 1)
    )
    files = {f"xl/worksheets/sheet{index}.xml": xml for index, xml in enumerate(sheets.values(), 1)}
    workbook = (
        f'{_XML}<workbook xmlns="{_OPENXML}/spreadsheetml/2006/main" xmlns:r="{_DOC_RELS}">'
        f"<sheets>{names}</sheets></workbook>"
    )
    relations = _relations(
        {f"rId{i}": ("worksheet", f"worksheets/sheet{i}.xml") for i in range(1, len(sheets) + 1)}
    )
    return _openxml(
        "xl/workbook.xml",
        "spreadsheetml.sheet.main",
        {"xl/workbook.xml": workbook, "xl/_rels/workbook.xml.rels": relations, **files},
        dict.fromkeys(files, "spreadsheetml.worksheet"),
    )


def pptx() -> bytes:
    """Two slides."""

    def slide(text: str) -> str:
        return (
            f'{_XML}<p:sld xmlns:p="{_OPENXML}/presentationml/2006/main" '
            f'xmlns:a="{_OPENXML}/drawingml/2006/main"><p:cSld><p:spTree><p:nvGrpSpPr>'
            '<p:cNvPr id="1" name=""/><p:cNvGrpSpPr/><p:nvPr/></p:nvGrpSpPr><p:grpSpPr/><p:sp><p:nvSpPr>'
            '<p:cNvPr id="2" name="Title"/><p:cNvSpPr/><p:nvPr/></p:nvSpPr><p:spPr/><p:txBody><a:bodyPr/>'
            f"<a:p><a:r><a:t>{text}</a:t></a:r></a:p></p:txBody></p:sp></p:spTree></p:cSld></p:sld>"
        )

    texts = ("Growing leeks in poor soil", "Water early and feed often")
    files = {f"ppt/slides/slide{index}.xml": slide(text) for index, text in enumerate(texts, 1)}
    ids = "".join(f'<p:sldId id="{255 + i}" r:id="rId{i}"/>' for i in range(1, len(texts) + 1))
    presentation = (
        f'{_XML}<p:presentation xmlns:p="{_OPENXML}/presentationml/2006/main" xmlns:r="{_DOC_RELS}">'
        f"<p:sldIdLst>{ids}</p:sldIdLst></p:presentation>"
    )
    relations = _relations({f"rId{i}": ("slide", f"slides/slide{i}.xml") for i in range(1, len(texts) + 1)})
    return _openxml(
        "ppt/presentation.xml",
        "presentationml.presentation.main",
        {"ppt/presentation.xml": presentation, "ppt/_rels/presentation.xml.rels": relations, **files},
        dict.fromkeys(files, "presentationml.slide"),
    )


def odt(manifest_entry: str = "") -> bytes:
    """Notes in OpenDocument format. `manifest_entry` goes into the entry of content.xml."""
    kind = "application/vnd.oasis.opendocument.text"
    content = (
        f'{_XML}<office:document-content xmlns:office="{_OPENDOC}:office:1.0" '
        f'xmlns:text="{_OPENDOC}:text:1.0"><office:body><office:text>'
        "<text:p>Notes of the walk along the canal.</text:p>"
        "<text:p>Three locks need new paint before the summer.</text:p>"
        "</office:text></office:body></office:document-content>"
    )
    manifest = (
        f'{_XML}<manifest:manifest xmlns:manifest="{_OPENDOC}:manifest:1.0">'
        f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{kind}"/>'
        '<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml">'
        f"{manifest_entry}</manifest:file-entry></manifest:manifest>"
    )
    return archive({"mimetype": kind, "content.xml": content, "META-INF/manifest.xml": manifest})


def rtf() -> bytes:
    """A memo in RTF with an umlaut."""
    return (
        rb"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}\f0 Memo: the M\'fcller order leaves on Monday.\par}"
    )


def epub() -> bytes:
    """A booklet of one chapter."""
    return archive(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": (
                f'{_XML}<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
                '<rootfiles><rootfile full-path="book.opf" media-type="application/oebps-package+xml"/>'
                "</rootfiles></container>"
            ),
            "book.opf": (
                f'{_XML}<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id">'
                '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:identifier id="id">b1'
                "</dc:identifier><dc:title>Canal walks</dc:title><dc:language>en</dc:language></metadata>"
                '<manifest><item id="c1" href="c1.xhtml" media-type="application/xhtml+xml"/></manifest>'
                '<spine><itemref idref="c1"/></spine></package>'
            ),
            "c1.xhtml": (
                f'{_XML}<html xmlns="http://www.w3.org/1999/xhtml"><head><title>One</title></head><body>'
                "<h1>Chapter one</h1><p>The towpath begins behind the mill.</p></body></html>"
            ),
        }
    )


def eml(attachments: dict[str, tuple[str, bytes]] | None = None) -> bytes:
    """A mail with attachments, {name: (media type, content)}; by default the German invoice."""
    message = EmailMessage()
    message["From"] = "Gärtnerei Grünwald <buero@gaertnerei.example>"
    message["To"] = "Café Sonnenschein <post@cafe.example>"
    message["Date"] = "Thu, 07 May 2026 09:30:00 +0200"
    message["Subject"] = "Ihre Rechnung RE-2026/118"
    message["Message-ID"] = "<118@gaertnerei.example>"
    message.set_content("Guten Tag,\n\nanbei erhalten Sie unsere Rechnung.\n\nMit freundlichen Grüßen\n")
    if attachments is None:
        attachments = {"RE-2026-118.pdf": ("application/pdf", GERMAN.pdf())}
    for name, (kind, content) in attachments.items():
        main, sub = kind.split("/")
        message.add_attachment(content, maintype=main, subtype=sub, filename=name)
    if message.is_multipart():
        message.set_boundary("=-shoebox-sample")
    return message.as_bytes(policy=SMTP)


def html() -> bytes:
    """A web page with markup, a script and an entity."""
    return (
        b"<!DOCTYPE html><html><head><meta charset='utf-8'><title>Opening hours</title>"
        b"<script>var hidden = 'not for readers';</script></head><body><h1>Opening hours</h1>"
        b"<p>Monday to Friday, 9&nbsp;am to 5&nbsp;pm. The caf&eacute; is open until six.</p></body></html>"
    )


def markdown() -> bytes:
    """Notes in Markdown."""
    return "# Kitchen plan\n\n- order *tiles*\n- ask Zoë about the sink\n".encode()


def text() -> bytes:
    """Plain text in UTF-8, two pages separated by a form feed."""
    return "Packing list\n\ntent, stove, naïve optimism\n\fSecond page: maps\n".encode()


def latin1_text() -> bytes:
    """Plain text as an old Windows program writes it."""
    return "Größe der Wohnung: 74 m². Miete: 820 €.\r\nÜbergabe am 1. März.\r\n".encode("cp1252")


def csv_table() -> bytes:
    """A small table."""
    return b"date;payee;amount\n2026-01-02;Water works;-48,20\n2026-01-05;Plot rent;120,00\n"
