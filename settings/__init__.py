"""Settings of the service, parsed from an environment mapping, validated and frozen.

Entry point: `load`. Nothing here reads the process's environment by itself, and nothing is global.
"""

from settings.error import SettingsError
from settings.loading import Loaded, Origin, describe, load
from settings.redis_address import RedisAddress
from settings.secret import Secret
from settings.variable import Variable
from settings.variables import VARIABLES, Credentials, Settings

__all__ = [
    "VARIABLES",
    "Credentials",
    "Loaded",
    "Origin",
    "RedisAddress",
    "Secret",
    "Settings",
    "SettingsError",
    "Variable",
    "describe",
    "load",
]
