//! What a word means to the command it belongs to. Quoting keeps a value one word; some commands of the shell calculate
//! with a word, or take it for a variable's name, whose subscript they calculate, and in both cases run what stands in it
//! (`[[ x -gt 0 ]]`, `printf -v`, `declare -i`). The commands are known by name; one behind a variable or an alias is not.

use std::collections::{HashMap, HashSet};

use super::programs::Program;
use super::reasons::*;

/// A value that a later sign turned into code: its number in the script, and why.
pub(super) type PlacingFault = (usize, &'static str);

/// What a value may be where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Text,
    /// A whole number, for this reason.
    Number(&'static str),
    /// Nothing, for this reason.
    Nothing(&'static str),
    /// Anything: this program reads it as code, which is what its writer asks for.
    Code(&'static str),
}

/// A word so far: its text without quotes, with the values in it.
#[derive(Debug, Default)]
pub(super) struct Word {
    pub(super) text: String,
    /// Whether it is there at all: `''` is an empty word.
    pub(super) begun: bool,
    /// The last value in it.
    pub(super) value: Option<usize>,
    /// The last value in it that is no whole number.
    not_number: Option<usize>,
}

impl Word {
    pub(super) fn push(&mut self, c: char) {
        self.text.push(c);
        self.begun = true;
    }

    /// The name that it assigns to, as in `name=`, `name+=` and `name[1]=`.
    fn assigned(&self) -> Option<&str> {
        let (left, _) = self.text.split_once('=')?;
        let left = left.strip_suffix('+').unwrap_or(left);
        let name = left.split_once('[').map_or(left, |(name, _)| name);
        is_name(name).then_some(name)
    }

    /// Whether it is a name and nothing else so far.
    pub(super) fn is_name(&self) -> bool {
        is_name(&self.text)
    }

    /// The value in it, if `=` or `[` after it could make what the value holds the name of a variable.
    pub(super) fn value_in_name(&self) -> Option<usize> {
        let may_be_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'+');
        self.value.filter(|_| self.text.bytes().all(may_be_name))
    }
}

/// What is known of a script's variables, in the order of its text.
#[derive(Debug, Default)]
pub(super) struct Variables {
    integers: HashSet<String>,
    references: HashSet<String>,
    lists: HashSet<String>,
    /// Those that a value was assigned to that is no whole number.
    texts: HashMap<String, usize>,
}

/// Variables that bash calculates with on its own.
const INTEGERS: [&str; 11] = [
    "RANDOM",
    "SRANDOM",
    "OPTIND",
    "HISTCMD",
    "SECONDS",
    "LINENO",
    "BASHPID",
    "EPOCHSECONDS",
    "UID",
    "EUID",
    "PPID",
];

/// Variables whose text shells expand, and so run, by themselves.
const CODE_VARIABLES: [&str; 5] = ["PS0", "PS1", "PS4", "PROMPT_COMMAND", "BASH_ENV"];

impl Variables {
    fn role(&self, name: &str) -> Role {
        if CODE_VARIABLES.contains(&name) {
            Role::Nothing(AS_CODE_VARIABLE)
        } else if self.references.contains(name) {
            Role::Nothing(IN_REFERENCE)
        } else if INTEGERS.contains(&name) || self.integers.contains(name) {
            Role::Number(IN_INTEGER)
        } else {
            Role::Text
        }
    }

    pub(super) fn is_list(&mut self, word: &Word) {
        if let Some(name) = word.assigned() {
            self.lists.insert(name.to_owned());
        }
    }
}

/// What kind of command the words belong to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Shape {
    /// Its name is still to come.
    #[default]
    Start,
    Plain,
    /// `[[ ]]`, with the parentheses open in it.
    Test(u32),
    /// `[ ]` and `test`.
    Bracket,
    Let,
    Declare,
    Printf,
    Read,
    Mapfile,
    Getopts,
    Unset,
    Wait,
    /// `exit` and others that take a number.
    Count,
    /// `for` and `select`.
    Loop,
    /// `function`: the name, then a command.
    Function,
    /// The elements of `a=( )`.
    List,
    /// A value chose one of these by its name.
    Disguised,
}

/// The command that is being read.
#[derive(Debug, Default)]
pub(super) struct ShellCommand {
    shape: Shape,
    pub(super) word: Word,
    /// The word is where a redirection leads, and who reads it as code.
    is_target: bool,
    target_code: Option<&'static str>,
    /// A name may stand before the command: `coproc NAME { }`.
    is_coprocess: bool,
    /// What stands around the whole command, as in `$(( $(command) ))`.
    around: Option<Role>,
    program: Program,
    /// The arguments so far that are no options.
    count: usize,
    /// The last word.
    before: String,
    /// The last value of the last word that is no whole number.
    operand: Option<usize>,
    /// The first argument that is no option.
    subject: String,
    /// The letters of all options.
    letters: String,
    is_past_options: bool,
    /// The option before takes the next word.
    takes_next: bool,
    /// The last value in the command or before it, and the last that is no whole number.
    inside: (Option<usize>, Option<usize>),
}

const BUILTINS: [(&[&str], Shape); 13] = [
    (&["[", "test"], Shape::Bracket),
    (&["[["], Shape::Test(0)),
    (&["let"], Shape::Let),
    (&["declare", "typeset", "local", "export", "readonly", "integer", "float"], Shape::Declare),
    (&["printf"], Shape::Printf),
    (&["read"], Shape::Read),
    (&["mapfile", "readarray", "compgen"], Shape::Mapfile),
    (&["getopts"], Shape::Getopts),
    (&["unset"], Shape::Unset),
    (&["wait"], Shape::Wait),
    (&["exit", "return", "shift", "break", "continue"], Shape::Count),
    (&["for", "select"], Shape::Loop),
    (&["function", "repeat"], Shape::Function),
];

/// Words after which a command begins.
const OPENERS: [&str; 17] = [
    "if",
    "then",
    "else",
    "elif",
    "do",
    "while",
    "until",
    "!",
    "{",
    "time",
    "coproc",
    "command",
    "builtin",
    "exec",
    "nohup",
    "noglob",
    "nocorrect",
];

const COMPARISONS: [&str; 6] = ["-eq", "-ne", "-lt", "-le", "-gt", "-ge"];
const NAME_TESTS: [&str; 2] = ["-v", "-R"];

impl ShellCommand {
    /// A command within a word of another one.
    pub(super) fn within(outer: &Self, variables: &Variables) -> Self {
        let around = match outer.role(variables) {
            Role::Text => None,
            // These do not calculate: what a command prints for them is its own affair.
            Role::Number(_) if outer.only_compares() && outer.around.is_none() => None,
            role => Some(role),
        };
        Self { around, ..Self::default() }
    }

    /// The elements of a list that is assigned in a word of another command.
    pub(super) fn list(outer: &Self, variables: &Variables) -> Self {
        Self { shape: Shape::List, ..Self::within(outer, variables) }
    }

    pub(super) fn is_start(&self) -> bool {
        self.shape == Shape::Start
    }

    /// Whether `(` here begins a list: the word is `a=` so far.
    pub(super) fn assigns_list(&self) -> bool {
        matches!(self.shape, Shape::Start | Shape::Declare)
            && self.word.text.ends_with('=')
            && self.word.assigned().is_some()
    }

    /// The parentheses open in `[[ ]]`, if it is one.
    pub(super) fn test(&mut self) -> Option<&mut u32> {
        match &mut self.shape {
            Shape::Test(depth) => Some(depth),
            _ => None,
        }
    }

    /// The command is over; what surrounds it stays.
    pub(super) fn separate(&mut self) {
        if !matches!(self.shape, Shape::List | Shape::Test(_)) {
            *self = Self { around: self.around, inside: self.inside, ..Self::default() };
        }
    }

    /// The compound command is over: redirections may follow.
    pub(super) fn close(&mut self) {
        *self = Self { around: self.around, inside: self.inside, shape: Shape::Plain, ..Self::default() };
    }

    /// Takes note of a value that was placed into its word.
    pub(super) fn push_value(&mut self, no: usize, text: &str, is_number: bool) {
        self.word.text.push_str(text);
        self.note(no, is_number);
    }

    /// Takes note of the values of a command that stood in its word.
    pub(super) fn join(&mut self, inner: &Self) {
        if let Some(no) = inner.inside.1.or(inner.inside.0) {
            self.note(no, inner.inside.1.is_none() || self.only_compares());
        }
    }

    /// Whether what it does with a number is no calculation in the shells that most scripts are for.
    fn only_compares(&self) -> bool {
        matches!(self.shape, Shape::Bracket | Shape::Count)
    }

    fn note(&mut self, no: usize, is_number: bool) {
        self.word.begun = true;
        self.word.value = Some(no);
        self.inside.0 = Some(no);
        if !is_number {
            self.word.not_number = Some(no);
            self.inside.1 = Some(no);
        }
    }

    pub(super) fn reads_input(&self) -> Option<&'static str> {
        self.program.reads_input()
    }

    /// The next word is where a redirection leads; of `<<<` it is the input itself.
    pub(super) fn redirect(&mut self, operator: &str) {
        self.is_target = true;
        self.target_code = if operator == "<<<" { self.reads_input() } else { None };
    }

    /// What a value may be that is placed here.
    pub(super) fn role(&self, variables: &Variables) -> Role {
        let own = if self.is_target {
            self.target_code.map_or(Role::Text, Role::Code)
        } else {
            self.own_role(variables)
        };
        let is_strict = |role: &Role| matches!(role, Role::Number(_) | Role::Nothing(_));
        match self.around {
            Some(around) if is_strict(&around) || !is_strict(&own) => around,
            Some(_) | None => own,
        }
    }

    fn own_role(&self, variables: &Variables) -> Role {
        match self.shape {
            Shape::Start => match self.word.assigned() {
                Some(name) => variables.role(name),
                None => Role::Text,
            },
            Shape::Test(_) | Shape::Bracket if COMPARISONS.contains(&&*self.before) => {
                Role::Number(IN_COMPARISON)
            }
            Shape::Test(_) | Shape::Bracket if NAME_TESTS.contains(&&*self.before) => Role::Nothing(AS_NAME),
            Shape::Test(_) | Shape::Bracket => Role::Text,
            Shape::Let => Role::Number(IN_LET),
            Shape::Declare => self.declared(variables),
            Shape::Printf | Shape::Wait if self.takes_next => Role::Nothing(AS_NAME),
            Shape::Read if self.takes_next || self.joins_option() => Role::Text,
            Shape::Getopts if self.count != 1 => Role::Text,
            Shape::Read | Shape::Getopts | Shape::Unset => Role::Nothing(AS_NAME),
            Shape::Mapfile => Role::Nothing(AS_CALLBACK),
            Shape::Count => Role::Number(IN_COUNT),
            Shape::Loop if self.count == 0 => Role::Nothing(AS_NAME),
            Shape::Loop => variables.role(&self.subject),
            Shape::List if self.word.text.starts_with('[') && !self.word.text.contains(']') => {
                Role::Number(IN_SUBSCRIPT)
            }
            Shape::Disguised => Role::Nothing(AFTER_BUILTIN),
            Shape::Plain | Shape::Printf | Shape::Wait | Shape::Function | Shape::List => {
                self.program.reads_as_code(&self.word.text).map_or(Role::Text, Role::Code)
            }
        }
    }

    fn declared(&self, variables: &Variables) -> Role {
        let Some(name) = self.word.assigned() else { return Role::Nothing(AS_NAME) };
        if self.letters.contains('n') {
            return Role::Nothing(IN_REFERENCE);
        }
        if self.letters.contains(['i', 'E', 'F']) {
            return Role::Number(IN_INTEGER);
        }
        variables.role(name)
    }

    /// Whether the word is an option of `read` with its value joined to it, such as `-p{{ value }}`.
    fn joins_option(&self) -> bool {
        !self.is_past_options && self.word.text.starts_with('-') && self.word.text[1..].contains(READ_TAKES)
    }

    /// Ends the word, if there is one.
    pub(super) fn end_word(&mut self, variables: &mut Variables) -> Result<(), PlacingFault> {
        let word = std::mem::take(&mut self.word);
        if !word.begun {
            return Ok(());
        }
        if std::mem::take(&mut self.is_target) {
            return Ok(());
        }
        let was = self.shape;
        let mut outcome = match was {
            Shape::Start => self.name(&word, variables),
            Shape::Test(_) | Shape::Bracket => self.tested(&word),
            Shape::Declare => self.declares(&word, variables),
            Shape::Printf | Shape::Wait => self.optional(&word),
            _ => Ok(()),
        };
        match was {
            Shape::Start => self.program.name(&word.text),
            Shape::Function => self.shape = Shape::Start,
            Shape::Plain if std::mem::take(&mut self.is_coprocess) => {
                self.shape = Shape::Start;
                outcome = outcome.and(self.name(&word, variables));
                self.program.name(&word.text);
            }
            _ => {
                self.argument(&word);
                self.program.word(&word.text);
            }
        }
        self.operand = word.not_number;
        self.before = word.text;
        outcome
    }

    /// The first word, unless it is an assignment or leaves the command still to come.
    fn name(&mut self, word: &Word, variables: &mut Variables) -> Result<(), PlacingFault> {
        if let Some(name) = word.assigned() {
            if let Some(value) = word.not_number {
                variables.texts.insert(name.to_owned(), value);
            }
            return Ok(());
        }
        let text = word.text.as_str();
        if OPENERS.contains(&text) && word.value.is_none() || text.starts_with('-') {
            self.is_coprocess |= text == "coproc";
            return Ok(());
        }
        let found = BUILTINS.iter().find(|(names, _)| names.contains(&text)).map(|(_, shape)| *shape);
        let runs_arguments = found.is_some() || matches!(text, "eval" | "trap" | "alias" | "." | "source");
        self.shape = match found {
            _ if word.value.is_some() && (runs_arguments || OPENERS.contains(&text)) => Shape::Disguised,
            Some(shape) => shape,
            None => Shape::Plain,
        };
        if matches!(text, "integer" | "float") {
            self.letters.push('i');
        }
        Ok(())
    }

    fn tested(&mut self, word: &Word) -> Result<(), PlacingFault> {
        if self.shape != Shape::Bracket && word.text == "]]" && word.value.is_none() {
            self.shape = Shape::Plain;
        }
        match (word.value, self.operand) {
            (Some(value), _) if self.shape == Shape::Bracket && NAME_TESTS.contains(&&*word.text) => {
                Err((value, AS_TEST))
            }
            (_, Some(operand)) if COMPARISONS.contains(&&*word.text) => Err((operand, IN_COMPARISON)),
            _ => Ok(()),
        }
    }

    fn declares(&mut self, word: &Word, variables: &mut Variables) -> Result<(), PlacingFault> {
        let Some(name) = word.assigned().or_else(|| word.is_name().then_some(&*word.text)) else {
            return Ok(());
        };
        if self.letters.contains(['i', 'E', 'F']) {
            variables.integers.insert(name.to_owned());
        }
        if self.letters.contains('n') {
            variables.references.insert(name.to_owned());
        }
        if self.letters.contains(['a', 'A']) {
            variables.lists.insert(name.to_owned());
        }
        if let Some(value) = word.not_number {
            variables.texts.insert(name.to_owned(), value);
        }
        let assigned = word.text.split_once('=').map_or("", |(_, assigned)| assigned);
        let may_be_list = self.letters.contains(['a', 'A', 'g']) || variables.lists.contains(name);
        match (word.value, variables.texts.get(name)) {
            (Some(value), _) if may_be_list && assigned.trim_start().starts_with('(') => {
                Err((value, AS_LIST))
            }
            (None, Some(value)) if self.letters.contains(['i', 'E', 'F', 'n']) => Err((*value, IN_INTEGER)),
            _ => Ok(()),
        }
    }

    /// An argument that is an option because of a value in it.
    fn optional(&mut self, word: &Word) -> Result<(), PlacingFault> {
        match word.value {
            Some(value) if !self.is_past_options && word.text.starts_with('-') => Err((value, AS_OPTION)),
            _ => Ok(()),
        }
    }

    /// Goes on behind an argument.
    fn argument(&mut self, word: &Word) {
        let letters = word.text.strip_prefix('-').filter(|_| !self.is_past_options);
        match letters {
            _ if std::mem::take(&mut self.takes_next) => {}
            Some("-") => self.is_past_options = true,
            Some(letters) => {
                self.letters.push_str(letters);
                self.takes_next = match self.shape {
                    Shape::Printf => letters == "v",
                    Shape::Wait => letters.ends_with('p'),
                    Shape::Read => letters.find(READ_TAKES).is_some_and(|at| at + 1 == letters.len()),
                    _ => false,
                };
            }
            None => {
                if self.count == 0 {
                    self.subject.clone_from(&word.text);
                }
                self.is_past_options = true;
                self.count += 1;
            }
        }
    }
}

/// Options of `read` that take what follows them.
const READ_TAKES: [char; 7] = ['d', 'i', 'n', 'N', 'p', 't', 'u'];

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
