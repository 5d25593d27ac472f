"""The API: `/api/v1`, one file an area; each route names the permission it needs."""
