"""Documents that ask their reader to fetch something: every way that each kind has."""

from collections.abc import Callable
from email.message import EmailMessage
from email.policy import SMTP
from io import BytesIO
from zipfile import ZipFile

from tests.samples import office
from tests.samples.drawing import page_image
from tests.samples.office import archive

ADDRESS = "http://192.0.2.77"
"""Behind the link that leads nowhere; by number, so that no name server stands between (RFC 5737)."""
NAME = "https://tracker.example"
_EXTERNAL = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def html() -> bytes:
    """A page whose picture, style, script, frame, icon, preload and refresh lie elsewhere."""
    return f"""<!DOCTYPE html PUBLIC "-//X//DTD" "{ADDRESS}/page.dtd">
<html><head><base href="{ADDRESS}/"><title>Newsletter of the allotment society</title>
<meta http-equiv="refresh" content="0; url={ADDRESS}/next"><link rel="stylesheet" href="{NAME}/style.css">
<link rel="preload" href="{ADDRESS}/font.woff2" as="font"><link rel="icon" href="{ADDRESS}/icon.png">
<style>@import url({ADDRESS}/more.css); body {{ background: url({NAME}/back.png) }}</style>
<script src="{ADDRESS}/script.js"></script></head><body>
<p>Dear members, the summer party is on 4 July 2026.</p><img src="{NAME}/pixel.png">
<img src="//192.0.2.77/p.gif"><link rel="dns-prefetch" href="{NAME}"><a ping="{ADDRESS}/p" href="{NAME}">x</a>
<img srcset="{ADDRESS}/one.png 1x, {ADDRESS}/two.png 2x"><iframe src="{ADDRESS}/frame"></iframe>
<object data="{ADDRESS}/object.pdf"></object><video poster="{ADDRESS}/v.png" src="{ADDRESS}/v.mp4"></video>
<svg xmlns="http://www.w3.org/2000/svg"><image href="{ADDRESS}/image.svg"/><use href="{NAME}/u.svg#a"/></svg>
</body></html>""".encode()


def mail() -> bytes:
    """A mail in HTML with remote pictures, a part that lies elsewhere, and a page attached."""
    message = EmailMessage()
    message["From"], message["To"] = "Shop <news@tracker.example>", "me@home.example"
    message["Subject"], message["Date"] = "Your order 4711", "Thu, 07 May 2026 09:30:00 +0200"
    message["Disposition-Notification-To"] = "read@tracker.example"
    message["List-Unsubscribe"] = f"<{NAME}/leave>"
    message.set_content(
        f'<p>Total 12.50 EUR</p><img src="{NAME}/open.gif"><img src="{ADDRESS}/open.gif">', "html"
    )
    message.add_attachment(html(), maintype="text", subtype="html", filename="page.html")
    data = message.as_bytes(policy=SMTP)
    boundary = b"--" + message.get_boundary("").encode()
    elsewhere = (
        b'\r\nContent-Type: message/external-body; access-type=URL;\r\n URL="'
        + ADDRESS.encode()
        + b'/body.txt"\r\n\r\nContent-Type: text/plain\r\n\r\n\r\n'
    )
    return data.replace(boundary + b"--", boundary + elsewhere + boundary + b"--")


def docx() -> bytes:
    """A letter whose template, picture, frame and document type lie elsewhere."""
    kinds = {"attachedTemplate": "t.dotm", "image": "pixel.png", "frame": "f.htm", "oleObject": "o.bin"}
    relations = "".join(
        f'<Relationship Id="x{number}" Type="{_EXTERNAL}/{kind}" Target="{ADDRESS}/{file}"'
        ' TargetMode="External"/>'
        for number, (kind, file) in enumerate(kinds.items())
    )
    files = _unpacked(office.docx())
    names = "word/_rels/document.xml.rels"
    files[names] = files[names].replace(b"</Relationships>", relations.encode() + b"</Relationships>")
    settings = files[names].replace(b'Id="', b'Id="s')
    files["word/_rels/settings.xml.rels"] = settings
    entity = f'<!DOCTYPE w:document SYSTEM "{ADDRESS}/letter.dtd">'.encode()
    body = files["word/document.xml"]
    files["word/document.xml"] = body.replace(b"?>", b"?>" + entity, 1)
    return archive(dict(files))


def xlsx() -> bytes:
    """A workbook with a link to another one and a web query."""
    files = _unpacked(office.xlsx())
    names = "xl/_rels/workbook.xml.rels"
    link = (
        f'<Relationship Id="x1" Type="{_EXTERNAL}/externalLink" Target="{ADDRESS}/other.xlsx"'
        f' TargetMode="External"/></Relationships>'
    )
    files[names] = files[names].replace(b"</Relationships>", link.encode())
    formula = f'<row><c t="str"><f>WEBSERVICE("{ADDRESS}/rate")</f><v>1</v></c></row></sheetData>'
    for name in [name for name in files if name.startswith("xl/worksheets/")]:
        files[name] = files[name].replace(b"</sheetData>", formula.encode())
    return archive(dict(files))


def odt() -> bytes:
    """Notes with a picture and a section that lie elsewhere."""
    files = _unpacked(office.odt())
    links = (
        f'<draw:frame><draw:image xlink:href="{ADDRESS}/pixel.png" xlink:actuate="onLoad"/></draw:frame>'
        f'<text:section text:name="s"><text:section-source xlink:href="{NAME}/more.odt"/></text:section>'
        "</office:text>"
    )
    spaces = (
        b'<office:document-content xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0"'
        b' xmlns:xlink="http://www.w3.org/1999/xlink" '
    )
    content = files["content.xml"].replace(b"<office:document-content ", spaces)
    files["content.xml"] = content.replace(b"</office:text>", links.encode())
    return archive(dict(files))


def epub() -> bytes:
    """A booklet with remote pictures and style."""
    files = _unpacked(office.epub())
    picture = f'<img src="{ADDRESS}/cover.png"/><link rel="stylesheet" href="{NAME}/s.css"/></body>'
    files["c1.xhtml"] = files["c1.xhtml"].replace(b"</body>", picture.encode())
    return archive(dict(files))


def rtf() -> bytes:
    """A memo whose template and picture lie elsewhere."""
    fields = f'{{\\*\\template {ADDRESS}/t.dot}}{{\\field{{\\*\\fldinst INCLUDEPICTURE "{NAME}/p.png"}}}}'
    return office.rtf().replace(b"\\f0 Memo", fields.encode() + b"\\f0 Memo", 1)


def svg() -> bytes:
    """A drawing that asks for a picture and an entity; no kind that is read, so it is looked at as text."""
    return (
        f'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "{ADDRESS}/x.txt">]>'
        f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{ADDRESS}/p.png"/><text>&x;</text></svg>'
    ).encode()


def markdown() -> bytes:
    """Notes with a remote picture."""
    return f"# Notes\n\n![pixel]({NAME}/pixel.png) <img src='{ADDRESS}/p.png'>\n\nOrder *tiles*.\n".encode()


def pdf() -> bytes:
    """A page that opens an address, submits a form and takes its content from a file elsewhere."""
    parts = [
        f"<< /Type /Catalog /Pages 2 0 R /OpenAction << /S /URI /URI ({ADDRESS}/open) >> >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents [4 0 R 5 0 R] /Resources << /Font"
        " << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>"
        f" /AA << /O << /S /SubmitForm /F << /FS /URL /F ({ADDRESS}/form) >> >> >> >>",
        "<< /Length 61 >>\nstream\nBT /F1 12 Tf 72 720 Td (Invoice 12, total 12.50 EUR.) Tj ET   \nendstream",
        f"<< /Length 0 /F << /FS /URL /F ({ADDRESS}/content) >> >>\nstream\n\nendstream",
    ]
    data, places = b"%PDF-1.7\n", []
    for number, part in enumerate(parts, 1):
        places.append(len(data))
        data += f"{number} 0 obj\n{part}\nendobj\n".encode()
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    count = len(parts) + 1
    trailer = f"trailer\n<< /Size {count} /Root 1 0 R >>\nstartxref\n{len(data)}\n%%EOF\n"
    return data + f"xref\n0 {count}\n0000000000 65535 f \n{table}".encode() + trailer.encode()


def scan() -> bytes:
    """A picture of a few words, for OCR."""
    buffer = BytesIO()
    page_image(["Receipt 12", "Total 12.50 EUR"]).crop((0, 0, 1200, 500)).save(buffer, "PNG")
    return buffer.getvalue()


PAPERS: dict[str, Callable[[], bytes]] = {
    "page.html": html,
    "mail.eml": mail,
    "letter.docx": docx,
    "book.xlsx": xlsx,
    "notes.odt": odt,
    "booklet.epub": epub,
    "memo.rtf": rtf,
    "drawing.svg": svg,
    "notes.md": markdown,
    "actions.pdf": pdf,
    "scan.png": scan,
}


def _unpacked(data: bytes) -> dict[str, bytes]:
    with ZipFile(BytesIO(data)) as source:
        return {name: source.read(name) for name in source.namelist()}
