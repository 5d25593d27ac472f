"""The console: pages made on the server, which read well without a script and live with one."""
