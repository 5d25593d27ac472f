"""Recorded pasts: our own data folder, Parquet, CSV and a Prometheus server, read for rehearsals as columns.

Nothing is imported here: the program that records needs no library that only reads files of others.
"""
