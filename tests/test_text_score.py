"""Which text layers are trusted and which pages go to OCR."""

import pytest

from tasks.reading import text_score

GOOD = {
    "english": "The river measured the northern bank before winter and the council paid for it.",
    "german invoice": "Rechnung Nr. 2026/118 vom 07.05.2026\nMwSt. 19 % 243,50 EUR GmbH HRB 4711 USt-IdNr. "
    "DE123456789 Bitte bis zum 06.06.2026 auf IBAN DE02 1203 0000 0000 2020 51",
    "table of numbers": "Qty Price Amount\n1 12.00 12.00\n2 13.50 27.00\n14 38.90 544.60\nVAT 20% 116.72\n"
    "Total 700.32 GBP 03/04/2026 IBAN GB29 NWBK 6016 1331 9268 19",
    "french": "L'été dernier, nous avons reçu votre facture n° 42 d'un montant de 1 234,50 € à régler.",
    "greek": "Η εταιρεία μας σας ευχαριστεί για την παραγγελία σας και σας αποστέλλει το τιμολόγιο.",
    "russian": "Уважаемые господа, направляем вам счёт на оплату за услуги, оказанные в марте.",
    "polish": "Dziękujemy za zamówienie. W załączeniu przesyłamy fakturę, prosimy o zapłatę.",
    "vietnamese": "Chúng tôi xin cảm ơn quý khách đã đặt hàng và gửi kèm hóa đơn để thanh toán.",
    "chinese": "尊敬的客户：感谢您的订购，随函附上发票，请于三十日内付款。谢谢您的支持与合作。",
    "japanese": "平素は格別のご高配を賜り厚く御礼申し上げます。請求書をお送りいたします。",
    "korean": "주문해 주셔서 감사합니다. 청구서를 첨부하오니 삼십 일 이내에 지불해 주시기 바랍니다.",
    "thai": "ขอบคุณสำหรับการสั่งซื้อของคุณ กรุณาชำระเงินภายในสามสิบวัน",
    "hindi": "आपके आदेश के लिए धन्यवाद। कृपया तीस दिनों के भीतर भुगतान करें।",
    "arabic": "نشكركم على طلبكم ونرسل لكم الفاتورة المرفقة ونرجو السداد خلال ثلاثين يوما",
    "table of contents": "Contents\nIntroduction.................. 1\nMethods . . . . . . . . 14\n"
    "Results ---------------------- 22",
    "Word's bullets": "\uf0b7 order the tiles for the kitchen\n\uf0b7 ask Zoë about the sink and the tap",
    "PDFium's hyphen": "The towpath was re\ufffe\npaired before the winter came.",
}
BAD = {
    "nothing": "",
    "blanks": " \n\t\f ",
    "page number": "Page 7",
    "glyph numbers": "(cid:12)(cid:34)(cid:3)(cid:77)(cid:12)(cid:9)" * 10 + " Invoice total 12 and others",
    "private use": "\uf041\uf042\uf043 \uf044\uf045\uf046\uf047 invoice " * 10,
    "replacement characters": "In\ufffdoi\ufffde n\ufffdmb\ufffdr 1\ufffd tot\ufffdl w\ufffdthin thirty days",
    "control characters": "\x05\x06\x07\x0e\x0f\x10\x11 \x12\x13 abc def ghi jkl mno pqr" * 3,
    "mojibake": "Sehr geehrter Herr MÃ¼ller, fÃ¼r die Ãœberweisung Ã¼ber 12 â‚¬ Dank, GrÃ¼ÃŸe",
    "cyrillic as latin-1": "Óâàæàåìûå ãîñïîäà, íàïðàâëÿåì âàì ñ÷¸ò íà îïëàòó çà óñëóãè, îêàçàííûå â ìàðòå",
    "shifted letters": "7KLV LV WKH LQYRLFH IRU WKH ZRUN GRQH LQ 0DUFK SOHDVH SD\\ ZLWKLQ WKLUW\\ GD\\V",
    "letters as symbols": "!\"#$%&'()*+,-./:;<=>?@[\\]^_` !!\"# $%&' ()*+ ,-./ 12 ab cd ef gh ij kl mn",
    "no blanks": "TheriverMeasuredthenorthernbankbeforewinterandthecouncilpaidfortwohundredpages",
    "single letters": "I n v o i c e   n u m b e r   1 2 3   t o t a l   d u e   w i t h i n   t h i r t y",
}


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD.keys())
def test_text_that_a_person_can_read_is_trusted(text: str) -> None:
    assert text_score(text) > 0.9


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_text_that_nobody_can_read_is_not_trusted(text: str) -> None:
    assert text_score(text) < 0.4


def test_over_an_image_a_stamp_is_not_enough_but_a_page_of_text_is() -> None:
    stamp = "Scanned 2026-01-12 09:14 page 1 of 1"
    assert text_score(stamp) == 1.0
    assert text_score(stamp, over_image=True) < 0.2
    assert text_score(GOOD["english"] * 5, over_image=True) == 1.0
