BEGIN TRANSACTION;
CREATE TABLE cells (
  provider TEXT NOT NULL, city TEXT NOT NULL, number INTEGER NOT NULL, sweep INTEGER NOT NULL,
  west REAL NOT NULL, south REAL NOT NULL, east REAL NOT NULL, north REAL NOT NULL, since INTEGER, until INTEGER,
  state TEXT NOT NULL CHECK (state IN ('open', 'done', 'divided')), reported INTEGER,
  fetched INTEGER NOT NULL DEFAULT 0, unique_photos INTEGER NOT NULL DEFAULT 0, repeats INTEGER NOT NULL DEFAULT 0,
  pages INTEGER NOT NULL DEFAULT 0, counts INTEGER NOT NULL DEFAULT 0,
  undividable INTEGER NOT NULL DEFAULT 0, repaired INTEGER NOT NULL DEFAULT 0, finished_at TEXT,
  PRIMARY KEY (provider, city, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE decisions (
  stage TEXT NOT NULL, photo_id TEXT NOT NULL, verdict TEXT NOT NULL, group_id TEXT, evidence TEXT NOT NULL,
  PRIMARY KEY (stage, photo_id)
) STRICT;
CREATE TABLE photos (
  photo_id TEXT PRIMARY KEY, city TEXT, latitude REAL, longitude REAL, taken_at TEXT, author_id TEXT, author_name TEXT,
  license TEXT, page_url TEXT, image_url TEXT, title TEXT, width INTEGER, height INTEGER, bytes INTEGER, sha256 TEXT,
  phash TEXT, dhash TEXT, hash_stamp TEXT,
  state TEXT NOT NULL CHECK (state IN ('listed', 'downloaded', 'rejected', 'failed', 'withdrawn')), reason TEXT, detail TEXT,
  attempts INTEGER NOT NULL DEFAULT 0, next_try TEXT
) STRICT;
INSERT INTO "photos" VALUES('made:0001','bursa',39.501,32.501,'2019-05-02T12:30:00.000001+00:00','made:author-1','Ömer Çığ 1','CC-BY-4.0','https://example.org/photos/1','https://example.org/photos/1.jpg','Kızılay 1',640,480,50001,'6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b','6b86b273ff34fce1','9d6b804eff5a3f57','stamp 1','downloaded',NULL,NULL,0,NULL);
INSERT INTO "photos" VALUES('made:0002','van',39.502,32.502,'2019-05-03T12:30:00.000002+00:00','made:author-2','Ömer Çığ 2','CC-BY-4.0','https://example.org/photos/2','https://example.org/photos/2.jpg','Kızılay 2',640,480,50002,'d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35','d4735e3a265e16ee','e03f59718b9b5d03',NULL,'listed',NULL,NULL,0,NULL);
INSERT INTO "photos" VALUES('made:3','van',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'rejected','truncated','x.jpg',0,NULL);
CREATE TABLE regions (name TEXT PRIMARY KEY, title TEXT NOT NULL, note TEXT NOT NULL, cities TEXT NOT NULL) STRICT;
INSERT INTO "regions" VALUES('three','Three','made up','[{"slug": "van", "name": "Van", "latitude": 38.5, "longitude": 43.4, "radius_km": 15.0, "code": "TR-65", "plate": 65, "centre": "", "aliases": ["Tuşpa"]}]');
CREATE TABLE sweeps (
  provider TEXT NOT NULL, city TEXT NOT NULL, number INTEGER NOT NULL, question TEXT NOT NULL,
  since INTEGER, until INTEGER NOT NULL, complete INTEGER NOT NULL,
  PRIMARY KEY (provider, city)
) STRICT;
CREATE TABLE withdrawals (
  kind TEXT NOT NULL CHECK (kind IN ('photo', 'author')), id TEXT NOT NULL, reason TEXT NOT NULL, at TEXT NOT NULL,
  PRIMARY KEY (kind, id)
) STRICT;
CREATE INDEX photos_by_state ON photos (state, city);
CREATE INDEX cells_by_state ON cells (provider, city, state);
COMMIT;
PRAGMA application_id = 1949381888;
PRAGMA user_version = 2;
