"""GeoJSON, as QuPath exports it: a file for each picture, polygons with holes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from segfeed.annotations.problems import OtherFormatError, Problems
from segfeed.annotations.reader import Annotated, as_label, load_json
from segfeed.annotations.shapes import Line, Part, Polygon, Shape, as_points


def is_geojson(content: Any) -> bool:
    first = content[0] if isinstance(content, list) and content else content
    return isinstance(first, dict) and first.get("type") in ("FeatureCollection", "Feature")


def read_geojson(files: Sequence[Path], problems: Problems) -> Iterator[Annotated]:
    """The file has the name of its picture, with or without the picture's extension."""
    for file in files:
        with problems.reading(file):
            content = load_json(file)
            if not is_geojson(content):
                raise OtherFormatError("it has no features, as GeoJSON has")
            features = content if isinstance(content, list) else content.get("features", [content])
            shapes = []
            for number, feature in enumerate(features):
                place = f"feature {number}"
                with problems.reading(f"{file}, {place}"):
                    if not (label := _label(feature.get("properties") or {})):
                        problems.add("shape without a label", f"{file}, {place}")
                    elif parts := _parts(feature["geometry"]):
                        shapes.append(Shape(label, parts, place))
                    else:
                        problems.add("shape of an unknown kind", f"{file}, {place}: {feature['geometry']['type']}")
            yield Annotated(str(file), file.stem, None, shapes)


def _label(properties: dict[str, Any]) -> str:
    """QuPath's class of an object; other programs write a label or a class."""
    found = properties.get("classification") or properties.get("label") or properties.get("class")
    return as_label(found.get("name") if isinstance(found, dict) else found)


def _parts(geometry: dict[str, Any]) -> list[Part]:
    """What a geometry covers, as in RFC 7946; empty for a kind that is not known."""
    kind, places = geometry["type"], geometry.get("coordinates", [])
    if kind == "Polygon":
        return [Polygon([as_points([point[:2] for point in ring], 3) for ring in places])]
    if kind == "LineString":
        return [Line(as_points([point[:2] for point in places], 2))]
    if kind == "Point":
        return [Line(as_points([places[:2]]))]
    if kind == "GeometryCollection":
        return [part for each in geometry["geometries"] for part in _parts(each)]
    if kind in ("MultiPolygon", "MultiLineString", "MultiPoint"):
        single = kind.removeprefix("Multi")
        return [part for each in places for part in _parts({"type": single, "coordinates": each})]
    return []
