"""The ledger's schema, as migrations. Each one is applied once, in order, and never changed later.

`PRAGMA user_version` holds the number of the last one applied.
"""

# The full-text index: a row a page, and a row 0 with what stands about the document. It keeps no text
# (content=''), so what is taken out must be given as it was put in (sqlite.org/fts5.html, "delete" command).
# Text is indexed in the transaction that stores it, by triggers, so that it can never be out of step.
_ABOUT = """(SELECT name || char(10) || title || char(10) || party || char(10) || summary || char(10)
    || category || char(10) || date || ' ' || amount || ' ' || currency || char(10)
    || coalesce((SELECT group_concat(value, char(10)) FROM fields WHERE document = documents.id), '')
    FROM documents WHERE id = {document})"""


def _index_about(document: str) -> str:
    """Statements of a trigger: index anew what stands about a document."""
    row = f"(SELECT id FROM search_rows WHERE document = {document} AND number = 0)"
    return f"""
        INSERT INTO search (search, rowid, text)
            SELECT 'delete', id, about FROM search_rows WHERE document = {document} AND number = 0;
        INSERT INTO search_rows (document, number, about)
            SELECT {document}, 0, about FROM (SELECT {_ABOUT.format(document=document)} AS about)
            WHERE about IS NOT NULL
            ON CONFLICT (document, number) DO UPDATE SET about = excluded.about;
        INSERT INTO search (rowid, text)
            SELECT id, about FROM search_rows WHERE id = {row};
    """


_SEARCH = f"""
    CREATE TABLE search_rows (                  -- which row of the index is which page
        id INTEGER PRIMARY KEY,
        document TEXT NOT NULL,
        number INTEGER NOT NULL,                -- of the page; 0 for what stands about the document
        about TEXT NOT NULL DEFAULT '',         -- what was indexed of that
        UNIQUE (document, number)
    );
    CREATE VIRTUAL TABLE search USING fts5 (
        text, content='', tokenize='unicode61 remove_diacritics 2'
    );
    INSERT INTO search_rows (document, number) SELECT document, number FROM pages;
    INSERT INTO search (rowid, text) SELECT search_rows.id, pages.text FROM pages JOIN search_rows
        ON search_rows.document = pages.document AND search_rows.number = pages.number;
    INSERT INTO search_rows (document, number, about)
        SELECT id, 0, {_ABOUT.format(document="outside.id")} FROM documents AS outside;
    INSERT INTO search (rowid, text) SELECT id, about FROM search_rows WHERE number = 0;

    CREATE TRIGGER search_page_in AFTER INSERT ON pages BEGIN
        INSERT INTO search_rows (document, number) VALUES (new.document, new.number);
        INSERT INTO search (rowid, text)
            SELECT id, new.text FROM search_rows WHERE document = new.document AND number = new.number;
    END;
    CREATE TRIGGER search_page_changed AFTER UPDATE OF text ON pages BEGIN
        INSERT INTO search (search, rowid, text) SELECT 'delete', id, old.text FROM search_rows
            WHERE document = old.document AND number = old.number;
        INSERT INTO search (rowid, text)
            SELECT id, new.text FROM search_rows WHERE document = new.document AND number = new.number;
    END;
    CREATE TRIGGER search_page_out AFTER DELETE ON pages BEGIN
        INSERT INTO search (search, rowid, text) SELECT 'delete', id, old.text FROM search_rows
            WHERE document = old.document AND number = old.number;
        DELETE FROM search_rows WHERE document = old.document AND number = old.number;
    END;
    CREATE TRIGGER search_document_in AFTER INSERT ON documents BEGIN {_index_about("new.id")} END;
    CREATE TRIGGER search_document_changed
        AFTER UPDATE OF name, title, party, summary, category, date, amount, currency ON documents
        BEGIN {_index_about("new.id")} END;
    CREATE TRIGGER search_document_out AFTER DELETE ON documents BEGIN
        INSERT INTO search (search, rowid, text)
            SELECT 'delete', id, about FROM search_rows WHERE document = old.id AND number = 0;
        DELETE FROM search_rows WHERE document = old.id AND number = 0;
    END;
    CREATE TRIGGER search_field_in AFTER INSERT ON fields BEGIN {_index_about("new.document")} END;
    CREATE TRIGGER search_field_changed AFTER UPDATE ON fields BEGIN {_index_about("new.document")} END;
    CREATE TRIGGER search_field_out AFTER DELETE ON fields BEGIN {_index_about("old.document")} END;
"""

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE meta (
        key TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) WITHOUT ROWID;

    CREATE TABLE documents (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,  -- order of arrival
        id TEXT NOT NULL UNIQUE,                -- short, from the content hash
        sha256 TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,                     -- file name, for people
        path BLOB NOT NULL,                     -- where the original lies, as the bytes the system uses
        size INTEGER NOT NULL,
        mtime_ns INTEGER NOT NULL,
        mime TEXT NOT NULL DEFAULT '',
        recipe TEXT NOT NULL,
        state TEXT NOT NULL,
        stage TEXT NOT NULL,
        message TEXT NOT NULL DEFAULT '',
        remedy TEXT NOT NULL DEFAULT '',
        urgent INTEGER NOT NULL DEFAULT 0,
        cancelled INTEGER NOT NULL DEFAULT 0,   -- the cancel flag
        added_at REAL NOT NULL,
        finished_at REAL,
        page_count INTEGER NOT NULL DEFAULT 0,
        file_title TEXT NOT NULL DEFAULT '',    -- what the file says of itself
        category TEXT NOT NULL DEFAULT '',
        confidence REAL,
        evidence TEXT NOT NULL DEFAULT '[]',
        title TEXT NOT NULL DEFAULT '',
        summary TEXT NOT NULL DEFAULT '',
        party TEXT NOT NULL DEFAULT '',
        date TEXT NOT NULL DEFAULT '',
        amount TEXT NOT NULL DEFAULT '',
        currency TEXT NOT NULL DEFAULT '',
        engine TEXT NOT NULL DEFAULT '',        -- which engine gave category and fields
        provisional INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX documents_by_state ON documents (state, seq);

    CREATE TABLE pages (
        document TEXT NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        text TEXT NOT NULL,
        source TEXT NOT NULL,
        score REAL NOT NULL,
        needs_ocr INTEGER NOT NULL,
        rotation INTEGER NOT NULL DEFAULT 0,
        width INTEGER NOT NULL DEFAULT 0,
        height INTEGER NOT NULL DEFAULT 0,
        lines TEXT NOT NULL DEFAULT '[]',       -- JSON: text, box, confidence of each OCR line
        error TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (document, number)
    ) WITHOUT ROWID;

    CREATE TABLE fields (
        document TEXT NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        name TEXT NOT NULL,
        value TEXT NOT NULL,
        quote TEXT NOT NULL,
        page INTEGER,
        start INTEGER,
        "end" INTEGER,
        status TEXT NOT NULL,
        confidence REAL NOT NULL,
        PRIMARY KEY (document, name)
    ) WITHOUT ROWID;

    CREATE TABLE units (
        id INTEGER PRIMARY KEY AUTOINCREMENT,   -- never used twice, so that late outcomes cannot be mixed up
        document TEXT NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
        seq INTEGER NOT NULL,                   -- the document's, for the order of dispatch
        stage TEXT NOT NULL,
        position INTEGER NOT NULL,
        queue TEXT NOT NULL,
        model TEXT NOT NULL,
        params TEXT NOT NULL,
        result_key TEXT NOT NULL,               -- empty for OCR, which is kept by page
        urgent INTEGER NOT NULL,
        state TEXT NOT NULL,
        issue INTEGER NOT NULL DEFAULT 0,
        attempts INTEGER NOT NULL DEFAULT 0,    -- issues that died, hung or raised
        seen_at REAL NOT NULL DEFAULT 0,        -- when it was last known to be on the road or with a worker
        worker TEXT NOT NULL DEFAULT '',
        seconds REAL NOT NULL DEFAULT 0,
        failure TEXT NOT NULL DEFAULT '',
        message TEXT NOT NULL DEFAULT ''
    );
    CREATE INDEX units_by_document ON units (document, stage, position);
    CREATE INDEX units_waiting ON units (queue, urgent DESC, seq, id) WHERE state = 'waiting';
    CREATE INDEX units_outstanding ON units (queue, id) WHERE state IN ('queued', 'running');

    CREATE TABLE results (
        key TEXT PRIMARY KEY,                   -- content hash, stage, engine version, parameters
        sha256 TEXT NOT NULL,
        payload BLOB NOT NULL,                  -- JSON, deflated
        created_at REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX results_by_content ON results (sha256);
    """,
    """
    CREATE TABLE calls (                        -- every call to a language model
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        document TEXT NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
        stage TEXT NOT NULL,
        at REAL NOT NULL,
        attempt INTEGER NOT NULL,
        trace BLOB NOT NULL                     -- JSON, deflated: see CallTrace
    );
    CREATE INDEX calls_by_document ON calls (document, id);
    ALTER TABLE documents ADD COLUMN read_share REAL NOT NULL DEFAULT 1;  -- of the text, 0 to 1
    ALTER TABLE documents ADD COLUMN model_failures INTEGER NOT NULL DEFAULT 0;  -- of the server, in a row
    CREATE INDEX documents_provisional ON documents (seq) WHERE provisional;
    """,
    """
    CREATE TABLE corrections (                  -- what a person has said; the latest of a field stands
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        document TEXT NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
        field TEXT NOT NULL,                    -- `category`, or the name of a field
        old TEXT NOT NULL,
        new TEXT NOT NULL,                      -- the same as old where it was confirmed
        model TEXT NOT NULL,                    -- that gave the old value; `you` for a person
        prompt_version TEXT NOT NULL,           -- empty where no language model gave it
        at REAL NOT NULL
    );
    CREATE INDEX corrections_by_document ON corrections (document, id);
    """,
    """
    CREATE TABLE outbox (                       -- what is to be told to people and programs outside
        id INTEGER PRIMARY KEY AUTOINCREMENT,   -- never used twice: receivers tell doubles by it
        channel TEXT NOT NULL,                  -- webhook or desktop
        kind TEXT NOT NULL,                     -- document or digest
        document TEXT REFERENCES documents (id) ON DELETE CASCADE,  -- forgotten with its document
        state TEXT NOT NULL DEFAULT '',
        payload TEXT NOT NULL,                  -- JSON; empty once it was delivered
        batch INTEGER NOT NULL DEFAULT 0,       -- the first of those that are sent together; 0 until then
        created_at REAL NOT NULL,
        due_at REAL NOT NULL,                   -- not to be tried before
        attempts INTEGER NOT NULL DEFAULT 0,
        last_error TEXT NOT NULL DEFAULT '',
        delivered_at REAL,
        given_up_at REAL
    );
    CREATE INDEX outbox_open ON outbox (channel, due_at) WHERE delivered_at IS NULL AND given_up_at IS NULL;
    CREATE INDEX outbox_by_document ON outbox (document) WHERE document IS NOT NULL;
    CREATE INDEX outbox_by_batch ON outbox (batch) WHERE batch != 0;
    """,
    _SEARCH,
    """
    ALTER TABLE documents ADD COLUMN language TEXT NOT NULL DEFAULT '';  -- ISO 639-1
    -- How sure the reader was of the old value, 0 to 1; null where it gave none.
    ALTER TABLE corrections ADD COLUMN confidence REAL;
    -- The document's category when it was said.
    ALTER TABLE corrections ADD COLUMN category TEXT NOT NULL DEFAULT '';
    -- The document whose correction led to the value; empty where none did.
    ALTER TABLE fields ADD COLUMN learned_from TEXT NOT NULL DEFAULT '';
    CREATE TABLE sketches (                     -- what documents look like, to find similar ones
        document TEXT PRIMARY KEY REFERENCES documents (id) ON DELETE CASCADE,
        sketch BLOB NOT NULL
    ) WITHOUT ROWID;
    """,
    """
    ALTER TABLE units ADD COLUMN target TEXT NOT NULL DEFAULT '';        -- the worker it was handed to
    ALTER TABLE units ADD COLUMN payload_bytes INTEGER NOT NULL DEFAULT 0;  -- in Redis; estimated at first
    ALTER TABLE units ADD COLUMN swaps INTEGER NOT NULL DEFAULT 0;       -- models that were loaded for it
    ALTER TABLE units ADD COLUMN swap_seconds REAL NOT NULL DEFAULT 0;   -- how long that took
    CREATE INDEX units_with_swaps ON units (queue, seen_at) WHERE swaps > 0;
    CREATE INDEX units_waiting_for_model ON units (queue, model, seq, id) WHERE state = 'waiting';
    """,
    """
    CREATE TABLE batches (                      -- documents that a client of the HTTP API asks for together
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        created_at REAL NOT NULL
    );
    CREATE TABLE batch_items (
        batch INTEGER NOT NULL REFERENCES batches (seq) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        name TEXT NOT NULL,                     -- of the file, for people
        document TEXT REFERENCES documents (id) ON DELETE SET NULL,  -- null: refused, or removed since
        problem TEXT NOT NULL DEFAULT '',       -- why it was refused
        remedy TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (batch, position)
    ) WITHOUT ROWID;
    CREATE INDEX batch_items_by_document ON batch_items (document) WHERE document IS NOT NULL;
    CREATE TABLE answered (                     -- requests that a client may repeat, by its idempotency key
        key TEXT PRIMARY KEY,
        request TEXT NOT NULL,                  -- hash of what was asked
        answer TEXT,                            -- null while it is being carried out
        at REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX answered_by_age ON answered (at);
    """,
    """
    -- When it was planned; 0 for what an older version planned.
    ALTER TABLE units ADD COLUMN planned_at REAL NOT NULL DEFAULT 0;
    -- To count those that have ended without reading all rows.
    CREATE INDEX units_ended ON units (stage, state)
        WHERE state IN ('done', 'failed', 'quarantined', 'cancelled');
    CREATE TABLE tallies (                      -- counts that never go down, whatever is removed
        name TEXT NOT NULL,
        labels TEXT NOT NULL,                   -- JSON list, in the order of the metric's labels
        value REAL NOT NULL,
        PRIMARY KEY (name, labels)
    ) WITHOUT ROWID;
    CREATE TRIGGER tally_document_in AFTER INSERT ON documents BEGIN
        INSERT INTO tallies VALUES ('documents_added_total', '[]', 1)
            ON CONFLICT (name, labels) DO UPDATE SET value = value + 1;
    END;
    CREATE TRIGGER tally_document_ended AFTER UPDATE OF state ON documents
        WHEN new.state != old.state
            AND new.state IN ('done', 'review', 'failed', 'quarantined', 'cancelled')
    BEGIN
        INSERT INTO tallies VALUES ('documents_ended_total', json_array(new.state), 1)
            ON CONFLICT (name, labels) DO UPDATE SET value = value + 1;
    END;
    """,
)
