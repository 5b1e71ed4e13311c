"""Example words by which the tiny model tells the categories of the built-in recipe apart."""

LABELS: dict[str, str] = {
    "invoice": "invoice number amount bill due vat subtotal net gross payable "
    "Rechnung Rechnungsnummer Rechnungsbetrag Mehrwertsteuer netto brutto zahlbar fällig überweisen",
    "receipt": "receipt cash change card paid till cashier store purchase "
    "Kassenbon Quittung Beleg bar gegeben Rückgeld Kasse Filiale Kauf bezahlt",
    "contract": "contract agreement party parties hereby clause term termination obligations "
    "Vertrag Vereinbarung Vertragspartner Kündigungsfrist Laufzeit Vermieter Mieter Mietvertrag Paragraph",
    "letter": "dear sincerely regards yours writing thank kind wishes "
    "Sehr geehrte Damen Herren freundlichen Grüßen Schreiben hiermit Anlage lieber",
    "statement": "statement account balance opening closing transactions bank deposit withdrawal "
    "Kontoauszug Kontostand Saldo Buchung Wertstellung Umsatz Gutschrift Lastschrift",
    "report": "report findings analysis results chapter quarter survey measured conclusion "
    "Bericht Ergebnis Analyse Kapitel Untersuchung Quartal Auswertung Fazit",
    "form": "form applicant fill tick box signature declare application section "
    "Formular Antrag Antragsteller ausfüllen ankreuzen Unterschrift Angaben Erklärung",
    "email": "from subject sent cc reply forwarded attachment inbox mailto "
    "Von Betreff gesendet Antwort weitergeleitet Anhang Posteingang",
    "other": "recipe poem weather song garden cat soup "
    "Rezept Gedicht Wetter Lied Garten Katze Suppe",
}  # fmt: skip
