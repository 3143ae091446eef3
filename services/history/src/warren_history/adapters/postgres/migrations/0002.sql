-- From version 1 to version 2.

-- What is in hand alone, of each queue: should the process die of it, the next one knows.
CREATE TABLE warren_history.trials (
    queue text COLLATE "C" PRIMARY KEY,
    delivery text COLLATE "C" NOT NULL,  -- digest
    begun integer NOT NULL               -- how many trials of it did not end, with the present one
);
