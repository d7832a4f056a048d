"""HTML pages from the house's templates: one environment for the life of the process.

pygeoapi builds a new template environment for each page, which costs 40 ms; its own render
function is replaced by ``Pages.render`` (see ``stock``). Templates of pygeoapi itself are never
used: they load from other hosts.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
import orjson
from babel import Locale
from markupsafe import Markup
from persiantools import digits
from pygeoapi import __version__ as pygeoapi_version
from pygeoapi import util

from pipeline import dates


def translated(value: Any, language: str, languages: tuple[str, ...]) -> Any:
    """``value`` with every {language: text} in it replaced by the text in ``language``."""
    if isinstance(value, Mapping):
        if value and value.keys() <= set(languages):
            return value.get(language, next(iter(value.values())))
        return {key: translated(inner, language, languages) for key, inner in value.items()}
    if isinstance(value, list):
        return [translated(inner, language, languages) for inner in value]
    return value


def _script_safe(value: Any, *_: Any) -> Markup:
    """JSON that can stand inside a page."""
    text = orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    for character, escape in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(character, escape)
    return Markup(text)  # noqa: S704 - escaped above


class Pages:
    """Renders pages in the languages of the city."""

    def __init__(self, folder: Path, config: dict[str, Any], *, compiled: Path) -> None:
        """Templates of ``folder``, over pygeoapi's ``config``, whose city's clock times are told
        by; ``compiled`` keeps them compiled, each with the digest of its source, which saves a
        third of a second at the next start."""
        compiled.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.languages: tuple[str, ...] = tuple(config["server"]["languages"])
        self._configs = {
            language: translated(config, language, self.languages) for language in self.languages
        }
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(folder),
            extensions=["jinja2.ext.i18n"],
            autoescape=True,
            auto_reload=False,
            bytecode_cache=jinja2.FileSystemBytecodeCache(str(compiled)),
        )
        self._environment.install_null_translations()  # type: ignore[attr-defined]
        zone: str = config["makan"]["timezone"]
        helpers = {
            "took": dates.took,
            "human_size": util.human_size,
            "get_path_basename": util.get_path_basename,
            "get_breadcrumbs": util.get_breadcrumbs,
            "filter_dict_by_key_value": util.filter_dict_by_key_value,
            "day": partial(dates.day_there, zone=zone),
            "moment": partial(dates.moment, zone=zone),
            "in_words": digits.to_word,
            "to_json": _script_safe,
            "tojson": _script_safe,
        }
        self._environment.filters.update(helpers)
        self._environment.globals.update(helpers)
        self._environment.tests["dated"] = dates.is_iso

    def render(self, template: str, data: Mapping[str, Any], language: str) -> str:
        """The page ``template`` about ``data``."""
        if language not in self._configs:
            language = self.languages[0]
        return self._environment.get_template(template).render(
            config=self._configs[language],
            data=data,
            locale=Locale(language),
            version=pygeoapi_version,
        )

    def warm(self) -> None:
        """Compiles every template, so that no request waits for it."""
        for name in self._environment.list_templates(extensions=["html"]):
            self._environment.get_template(name)
