"""The scenes that tests may ask for."""

pytest_plugins = [
    "tests.tuner_scene",
    "tests.scene",
    "tests.slack_scene",
    "tests.discord_scene",
    "tests.studio_desk",
    "tests.browser",
]
