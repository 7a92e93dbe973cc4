//! Checks the places of values: in a script by placing samples, in lists of arguments by the programs they are for.

use indexmap::IndexMap;

use super::expr::{BlockKind, Template, TemplateBlock, is_template};
use super::model::{Param, ParamKind};
use super::read::Reader;
use super::shell::{self, MARK, ReadAsCode};
use super::template::FOREIGN_SHELL;
use super::yaml::{Kind, Node};

/// A value that is no whole number, in a sample.
const TEXT: &str = "a b";

/// Places a sample for each value of a script. Where no value can be placed the file is refused; where only some can, and
/// where a program reads them as code, it gets a remark.
pub(super) fn check_script(
    reader: &mut Reader<'_>,
    node: &Node<'_>,
    text: &str,
    blocks: &[TemplateBlock],
    params: &IndexMap<String, Param>,
) {
    let values: Vec<&TemplateBlock> = blocks.iter().filter(|block| block.kind == BlockKind::Value).collect();
    let at = |no: usize| values.get(no).map_or(0, |block| block.whole.start);
    let with_numbers = sample(text, blocks, |_| "0");
    let found = match shell::read_as_code(&with_numbers) {
        Ok(found) => found,
        Err(refused) => {
            let pos = reader.locate(node, at(refused.value));
            reader.no_longer(pos, refused.reason, None);
            return;
        }
    };
    for code in found {
        remark_code(reader, node, at(code.value), code);
    }
    let is_whole = |block: &TemplateBlock| is_whole(text[block.body.clone()].trim(), params);
    let with_texts = sample(text, blocks, |block| if is_whole(block) { "0" } else { TEXT });
    if let Err(refused) = shell::place(&with_texts) {
        let pos = reader.locate(node, at(refused.value));
        let message = format!("the attempt fails if this value does not fit here: {}", refused.reason);
        reader.remarks.push(pos, message, None);
    }
}

/// A script for another language: nothing is known of its quotes.
pub(super) fn check_foreign(reader: &mut Reader<'_>, node: &Node<'_>, blocks: &[TemplateBlock]) {
    if let Some(block) = blocks.iter().find(|block| block.kind == BlockKind::Value) {
        let pos = reader.locate(node, block.whole.start);
        reader.sink.push(pos, FOREIGN_SHELL);
    }
}

/// Remarks on values in `run: [program, argument, ...]` that the program reads as code.
pub(super) fn check_arguments(reader: &mut Reader<'_>, arguments: &[Node<'_>]) {
    let mut marked = Vec::with_capacity(arguments.len());
    let mut places = Vec::new();
    for node in arguments {
        let Kind::Scalar(scalar) = &node.kind else { return };
        let text = &*scalar.text;
        // What is no template, or a broken one, holds no values.
        let template = if is_template(text) { Template::read(text).ok() } else { None };
        let blocks = template.as_ref().map_or(&[] as &[TemplateBlock], Template::blocks);
        let values = blocks.iter().filter(|block| block.kind == BlockKind::Value);
        places.extend(values.map(|block| (node, block.whole.start)));
        marked.push(sample(text, blocks, |_| "0"));
    }
    for code in shell::arguments_read_as_code(&marked) {
        if let Some((node, at)) = places.get(code.value) {
            remark_code(reader, node, *at, code);
        }
    }
}

fn remark_code(reader: &mut Reader<'_>, node: &Node<'_>, at: usize, code: ReadAsCode) {
    let pos = reader.locate(node, at);
    let message = format!("`{}` reads this value as code, so what it holds may run", code.program);
    let hint = "hand it on as an argument of its own or in `env:`, and let the code read it there, as in \
                `bash -c 'ls \"$1\"' sh {{ value }}`";
    reader.remarks.push(pos, message, Some(hint.to_owned()));
}

/// A text with a marked sample for each value, and one without marks for each that stands there as it is.
fn sample<'s>(text: &str, blocks: &[TemplateBlock], value: impl Fn(&TemplateBlock) -> &'s str) -> String {
    let mut marked = String::with_capacity(text.len());
    let mut from = 0;
    for block in blocks {
        marked.push_str(&text[from..block.whole.start]);
        from = block.whole.end;
        match block.kind {
            BlockKind::Statement => {}
            BlockKind::RawValue => marked.push('0'),
            BlockKind::Value => {
                marked.push(MARK);
                marked.push_str(value(block));
                marked.push(MARK);
            }
        }
    }
    marked.push_str(&text[from..]);
    marked
}

/// Whether an expression is a whole number whatever the run is given.
fn is_whole(body: &str, params: &IndexMap<String, Param>) -> bool {
    if let Some((_, filter)) = body.rsplit_once('|') {
        return matches!(filter.trim(), "int" | "length" | "count");
    }
    let is_integer = |name: &str| params.get(name).is_some_and(|param| param.kind == ParamKind::Integer);
    body.parse::<i64>().is_ok()
        || matches!(body, "attempt" | "index" | "run.id" | "ds_nodash")
        || body.strip_prefix("params.").is_some_and(is_integer)
}
