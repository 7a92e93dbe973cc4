//! Why a value cannot stand where it stands, and what to write instead.

pub(super) const IN_BACKQUOTES: &str = "a value inside backquotes cannot be quoted safely; use $( ) instead";
pub(super) const IN_BRACES: &str =
    "a value inside ${ } cannot be quoted safely; assign it to a variable first";
pub(super) const IN_ANSI: &str = "a value inside $' ' cannot be quoted safely; end the quotes before it";
pub(super) const IN_ARITHMETIC: &str =
    "only a whole number is safe inside (( )); write `| int`, or give the parameter `type: integer`";
pub(super) const IN_SUBSCRIPT: &str = "only a whole number is safe as the subscript of an array; for an array by names write `k={{ value }}` and then `a[$k]`";
pub(super) const IN_COMPARISON: &str = "only a whole number is safe beside -eq, -ne, -lt, -le, -gt and -ge; write `| int`, give the parameter `type: integer`, or compare texts with `=`";
pub(super) const IN_LET: &str =
    "only a whole number is safe in arguments of `let`; write `| int`, or give the parameter `type: integer`";
pub(super) const IN_COUNT: &str = "only a whole number is safe as the argument of `exit`, `return`, `shift`, `break` and `continue`; write `| int`, or give the parameter `type: integer`";
pub(super) const IN_INTEGER: &str = "only a whole number is safe in a variable that the shell calculates with (`declare -i`, RANDOM, OPTIND and the like); write `| int`, or give the parameter `type: integer`";
pub(super) const AS_NAME: &str = "a value cannot be the name of a variable: the shell would run what stands in its subscript; write the name itself, and choose with `case` if there are several";
pub(super) const IN_REFERENCE: &str =
    "a value cannot be what a reference (`declare -n`) points to; write the name itself";
pub(super) const AS_CODE_VARIABLE: &str =
    "a value cannot be assigned to this variable: shells run what stands in it";
pub(super) const AS_LIST: &str =
    "the shell would read this value as a list, and run what stands in it; write `a=({{ value }})`";
pub(super) const AS_OPTION: &str =
    "the value would be read as an option that takes the name of a variable; write `--` before it";
pub(super) const AS_TEST: &str = "the value would be read as the operator `-v` of a test, which takes the name of a variable; compare with `=`";
pub(super) const AS_CALLBACK: &str =
    "a value cannot be an argument of this command: the shell would run it, or take it for a name";
pub(super) const AFTER_BUILTIN: &str = "the value before names a command of the shell that runs its arguments, or takes names; write the command itself";
pub(super) const AFTER_BACKSLASH: &str = "a value right after a backslash cannot be quoted safely";
pub(super) const AFTER_DOLLAR: &str =
    "a value right after `$` would become part of a name or of $' '; separate them";
pub(super) const AS_DELIMITER: &str = "a value cannot be the delimiter of a here-document";
pub(super) const ENDS_DOCUMENT: &str = "the value would end the here-document it stands in";
pub(super) const JOINED_LINES: &str =
    "after a line of a here-document that ends in a backslash the quoting is not certain";
pub(super) const SUBSTITUTION_IN_DOCUMENT: &str = "a value after a substitution inside a here-document cannot be quoted safely; assign it to a variable first";
pub(super) const DOCUMENT_IN_SUBSTITUTION: &str =
    "a value in a here-document inside $( ) or ( ) cannot be quoted safely; assign it to a variable first";
pub(super) const CASE_IN_SUBSTITUTION: &str =
    "after `case` inside $( ) or ( ) the quoting is not certain; assign the value to a variable before it";
pub(super) const QUOTES_IN_BRACES: &str =
    "after quotes inside \"${ }\" the quoting is not certain; assign the value to a variable before it";
pub(super) const ESCAPE_IN_ANSI: &str =
    "after \\' inside $' ' the quoting is not certain; assign the value to a variable before it";
pub(super) const ODD_ARITHMETIC: &str =
    "after `((` that is not arithmetic the quoting is not certain; write `( (`";
pub(super) const OLD_ARITHMETIC: &str = "after `$[` the quoting is not certain; write $(( ))";
pub(super) const ODD_SUBSCRIPT: &str =
    "after a subscript with both blanks and quotes the quoting is not certain; write it without blanks";
pub(super) const ODD_COMMENT: &str =
    "after `#` right behind a parenthesis the quoting is not certain; write a blank between them";
pub(super) const ODD_DELIMITER: &str =
    "after a here-document with such a delimiter the quoting is not certain; use a plain word";
