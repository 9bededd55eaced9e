-- Dagster's database beside ours; the image of PostgreSQL runs this when it makes its data folder.
CREATE DATABASE dagster OWNER pvm;
