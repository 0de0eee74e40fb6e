"""How a connection to an API server fails.

Apart from `api`, because the client's library takes long to import.
"""

import asyncio
import ssl

import aiohttp

# What passes on its own: an API server that restarts, a connection that drops.
UNREACHABLE = (aiohttp.ClientError, OSError, asyncio.TimeoutError)
UNTRUSTED = (aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError)
