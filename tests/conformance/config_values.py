"""The config of the app that runs the cases."""

CONFIG = {
    "TEXT": "na\u00efve = caf\u00e9 \u20ac\nsecond line",
    "EMPTY": "",
    "PORT": "8000",
    "RATIO": "0.25",
    "ON": "Yes",
    "OFF": "0",
    "LIST": " a, b ,,c",
    "JSON": '{"a": [1, null]}',
    "LARGE": "x" * 20000,
}
