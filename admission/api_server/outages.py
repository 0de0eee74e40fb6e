"""How a connection to an API server fails.

Apart from `api`, because the client's library takes long to import.
"""

import asyncio
import ssl

import aiohttp

from admission.api_server.api import Unreadable

# What passes on its own: an API server that restarts, a connection that drops, an answer that is
# another program's.
UNREACHABLE = (aiohttp.ClientError, OSError, asyncio.TimeoutError, Unreadable)
UNTRUSTED = (aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError)
