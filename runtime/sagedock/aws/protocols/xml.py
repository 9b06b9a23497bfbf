"""Shapes as XML: for S3 (rest-xml) and for the answers of the query protocol."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Final
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from sagedock.aws.model import Shape
from sagedock.aws.protocols.base import Mismatch, text_of_value, value_from_text

_UNSAFE: Final = re.compile('[&<>"\x00-\x08\x0b-\x1f\ufffe\uffff]')
_NAMED: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}


class NotXml(Exception):
    """Bytes that are no XML document, or one with a document type."""


def document(body: bytes) -> Element:
    """Parse a request's body. Raises NotXml.

    Document types are refused whole: with them go entity bombs and references to local files,
    and no AWS client sends one.
    """
    builder = TreeBuilder()
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    parser.StartElementHandler = lambda tag, attributes: builder.start(_plain(tag), attributes)
    parser.EndElementHandler = lambda tag: builder.end(_plain(tag))
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _refuse_document_type
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, ValueError, LookupError) as error:  # Lookup: unknown encoding
        raise NotXml(str(error)) from error
    return builder.close()


def _plain(tag: str) -> str:
    """A tag without its namespace: clients send S3 requests with one, and without."""
    return tag.rpartition("}")[2]


def _refuse_document_type(*_: object) -> None:
    raise NotXml("document types are not accepted")


def read(shape: Shape, node: Element) -> Any:
    """An element as Python has it. Raises Mismatch."""
    if shape.kind == "structure":
        return _read_structure(shape, node)
    if shape.kind == "list":
        name = shape.member.wire_name or "member"
        return [_read_at(shape.member, name, child) for child in node if child.tag == name]
    if shape.kind == "map":
        return _read_entries(shape, [child for child in node if child.tag == "entry"])
    if len(node):
        raise Mismatch(f"Element {node.tag} may not have elements inside")
    return value_from_text(shape, node.text or "")


def _read_structure(shape: Shape, node: Element) -> dict[str, Any]:
    children: dict[str, list[Element]] = {}
    for child in node:
        children.setdefault(child.tag, []).append(child)
    found: dict[str, Any] = {}
    for name, member in shape.members.items():
        if member.is_attribute:
            found.update(_read_attribute(name, member, node))
            continue
        tag = _tag(name, member)
        if tag not in children:
            continue
        if member.kind == "list" and member.is_flattened:
            found[name] = [_read_at(member.member, tag, child) for child in children[tag]]
        elif member.kind == "map" and member.is_flattened:
            found[name] = _read_entries(member, children[tag])
        else:
            found[name] = _read_at(member, tag, children[tag][-1])
    return found


def _read_at(shape: Shape, tag: str, node: Element) -> Any:
    try:
        return read(shape, node)
    except Mismatch as mismatch:
        raise mismatch.at(tag) from None


def _read_attribute(name: str, member: Shape, node: Element) -> dict[str, Any]:
    """An attribute by its name without prefix: `xsi:type`, which tells kinds of S3 grantees."""
    wanted = (member.wire_name or name).rpartition(":")[2]
    values = [value for key, value in node.attrib.items() if _plain(key) == wanted]
    return {name: values[0]} if values else {}


def _read_entries(shape: Shape, entries: list[Element]) -> dict[str, Any]:
    key_tag = shape.key.wire_name or "key"
    value_tag = shape.value.wire_name or "value"
    found = {}
    for entry in entries:
        key, value = entry.find(key_tag), entry.find(value_tag)
        if key is None or value is None:
            raise Mismatch("A map's entry needs a key and a value")
        found[key.text or ""] = _read_at(shape.value, key.text or "", value)
    return found


def _tag(name: str, shape: Shape) -> str:
    """The element of a member. A flattened list has no element of its own: its members' counts."""
    if shape.kind == "list" and shape.is_flattened and shape.member.wire_name:
        return shape.member.wire_name
    return shape.wire_name or name


def escaped(text: str) -> str:
    """Text for an element. Control characters become references, as S3 writes them in keys,
    although XML 1.0 parsers refuse most; clients that care ask for encoding-type=url."""
    return _UNSAFE.sub(_reference, text) if _UNSAFE.search(text) else text


def _reference(found: re.Match[str]) -> str:
    character = found.group()
    return _NAMED.get(character) or f"&#x{ord(character):x};"


def write(out: list[str], tag: str, shape: Shape, value: Any) -> None:
    """Append `value` as element `tag` to `out`; a flattened list appends one per item."""
    if shape.kind == "structure":
        out.append(f"<{tag}{_attributes(shape, value)}>")
        write_members(out, shape, value)
        out.append(f"</{tag}>")
    elif shape.kind == "list":
        _write_list(out, tag, shape, value)
    elif shape.kind == "map":
        _write_map(out, tag, shape, value)
    else:
        out.append(f"<{tag}>{escaped(text_of_value(shape, value, 'iso8601'))}</{tag}>")


def write_members(out: list[str], shape: Shape, value: Mapping[str, Any]) -> None:
    """Append those members of a structure that make its body."""
    for name, tag, member in _body_members(shape):
        item = value.get(name)
        if item is None:
            continue
        if member.kind == "string":  # most of a long list
            out.append(f"<{tag}>{escaped(str(item))}</{tag}>")
        else:
            write(out, tag, member, item)


@cache
def _body_members(shape: Shape) -> tuple[tuple[str, str, Shape], ...]:
    """Name, element and shape of the members that make a structure's body."""
    return tuple(
        (name, _tag(name, member), member)
        for name, member in shape.members.items()
        if not (member.location or member.is_attribute)
    )


def _write_list(out: list[str], tag: str, shape: Shape, value: Any) -> None:
    if shape.is_flattened:
        for item in value:
            write(out, tag, shape.member, item)
        return
    out.append(f"<{tag}>")
    for item in value:
        write(out, shape.member.wire_name or "member", shape.member, item)
    out.append(f"</{tag}>")


def _write_map(out: list[str], tag: str, shape: Shape, value: Mapping[str, Any]) -> None:
    entry = tag if shape.is_flattened else "entry"
    if not shape.is_flattened:
        out.append(f"<{tag}>")
    for key, item in value.items():
        out.append(f"<{entry}>")
        write(out, shape.key.wire_name or "key", shape.key, key)
        write(out, shape.value.wire_name or "value", shape.value, item)
        out.append(f"</{entry}>")
    if not shape.is_flattened:
        out.append(f"</{tag}>")


def _attributes(shape: Shape, value: Mapping[str, Any]) -> str:
    text = ""
    if shape.namespace and shape.namespace.get("prefix"):
        text += f' xmlns:{shape.namespace["prefix"]}="{escaped(shape.namespace["uri"])}"'
    for name, member in shape.members.items():
        if member.is_attribute and value.get(name) is not None:
            text += f' {member.wire_name or name}="{escaped(str(value[name]))}"'
    return text
