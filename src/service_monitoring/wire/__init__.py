"""Facts <-> bytes: the only room that encodes. Knows values of the domain; knows no file, table or broker."""
