//! The part of the shell's grammar that debhelper's fragments are written in. POSIX.1-2017, chapter 2.
//!
//! Lists, pipelines of one command, `if`, `case`, assignments, and redirections to nowhere. Functions, loops, pipes,
//! here-documents and command substitution other than `$(command -v NAME)` are not understood, and said not to be: what
//! is not understood is never guessed at.

/// A list of commands, each with what joins it to the one before.
pub(super) type List = Vec<(Join, Command)>;

/// How a command follows the one before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Join {
    /// In any case.
    Then,
    /// `&&`
    And,
    /// `||`
    Or,
}

/// A command.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Command {
    /// Assignments, then words.
    Simple { not: bool, words: Vec<Word> },
    If {
        not: bool,
        arms: Vec<(List, List)>,
        otherwise: List,
    },
    Case {
        word: Word,
        arms: Vec<(Vec<Word>, List)>,
    },
}

/// A word: parts that are joined.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Word {
    pub(super) parts: Vec<Part>,
    /// Whether any part was quoted; an unquoted empty word vanishes.
    pub(super) quoted: bool,
}

/// A part of a word.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Part {
    Text(String),
    /// `$NAME`, `${NAME}`, `${NAME:-}`, and `$@` inside quotes as `@`.
    Variable(String),
    /// `${NAME:+…}`: something if the variable is set, which must not be needed.
    IfSet(String),
    /// `$(command -v NAME)`
    CommandPath(String),
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Token {
    Word(Word),
    And,
    Or,
    End,
    EndArm,
    Bar,
    Close,
}

/// Deep nesting is nobody's fragment.
const MAX_DEPTH: u32 = 32;
/// Generated scripts are a few KiB.
const MAX_SCRIPT: usize = 256 << 10;

type Result<T> = std::result::Result<T, String>;

/// Parses a script, or says what is not understood.
pub(super) fn parse(script: &str) -> Result<List> {
    if script.len() > MAX_SCRIPT {
        return Err("the script is longer than 256 KiB".to_owned());
    }
    let mut parser = Parser {
        tokens: tokens(script)?,
        at: 0,
        depth: 0,
    };
    let list = parser.list(&[])?;
    match parser.peek() {
        None => Ok(list),
        Some(token) => Err(format!("{} is not understood", shown(token))),
    }
}

fn shown(token: &Token) -> String {
    match token {
        Token::Word(word) => format!("`{}`", word.literal().unwrap_or("a word")),
        other => format!("{other:?}"),
    }
}

impl Word {
    /// Returns the text of a word that needs no expansion.
    pub(super) fn literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    fn is_keyword(&self, keyword: &str) -> bool {
        !self.quoted && self.literal() == Some(keyword)
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: u32,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn at_keyword(&self, keywords: &[&str]) -> bool {
        matches!(self.peek(), Some(Token::Word(word)) if keywords.iter().any(|it| word.is_keyword(it)))
    }

    fn skip_ends(&mut self) {
        while self.peek() == Some(&Token::End) {
            self.at += 1;
        }
    }

    fn expect(&mut self, keyword: &str) -> Result<()> {
        self.skip_ends();
        if !self.at_keyword(&[keyword]) {
            return Err(format!("`{keyword}` is missing"));
        }
        self.at += 1;
        Ok(())
    }

    /// Parses up to one of the keywords, `;;`, or the end.
    fn list(&mut self, until: &[&str]) -> Result<List> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("it is nested too deeply".to_owned());
        }
        let (mut list, mut join) = (List::new(), Join::Then);
        loop {
            self.skip_ends();
            if self.peek().is_none_or(|it| *it == Token::EndArm) || self.at_keyword(until) {
                if join != Join::Then {
                    return Err("a command is missing after && or ||".to_owned());
                }
                self.depth -= 1;
                return Ok(list);
            }
            list.push((join, self.command()?));
            join = match self.peek() {
                Some(Token::And) => Join::And,
                Some(Token::Or) => Join::Or,
                Some(Token::End | Token::EndArm) | None => Join::Then,
                Some(other) => return Err(format!("{} is not understood", shown(other))),
            };
            if join != Join::Then {
                self.at += 1;
            }
        }
    }

    fn command(&mut self) -> Result<Command> {
        let not = self.at_keyword(&["!"]);
        self.at += usize::from(not);
        if self.at_keyword(&["if"]) {
            return self.conditional(not);
        }
        if self.at_keyword(&["case"]) && !not {
            return self.case();
        }
        let unknown = [
            "for", "while", "until", "function", "{", "}", "then", "else", "elif", "fi", "do",
            "done", "esac",
        ];
        if self.at_keyword(&unknown) {
            return Err(format!(
                "{} is not understood",
                self.peek().map_or_else(String::new, shown)
            ));
        }
        let mut words = Vec::new();
        while let Some(Token::Word(word)) = self.peek() {
            words.push(word.clone());
            self.at += 1;
        }
        if words.is_empty() {
            return Err(format!(
                "{} is not understood",
                self.peek().map_or_else(|| "the end".to_owned(), shown)
            ));
        }
        Ok(Command::Simple { not, words })
    }

    fn conditional(&mut self, not: bool) -> Result<Command> {
        self.at += 1;
        let (mut arms, mut otherwise) = (Vec::new(), List::new());
        loop {
            let condition = self.list(&["then"])?;
            self.expect("then")?;
            arms.push((condition, self.list(&["elif", "else", "fi"])?));
            if self.at_keyword(&["elif"]) {
                self.at += 1;
                continue;
            }
            if self.at_keyword(&["else"]) {
                self.at += 1;
                otherwise = self.list(&["fi"])?;
            }
            self.expect("fi")?;
            return Ok(Command::If {
                not,
                arms,
                otherwise,
            });
        }
    }

    fn case(&mut self) -> Result<Command> {
        self.at += 1;
        let Some(Token::Word(word)) = self.peek().cloned() else {
            return Err("`case` has no word".to_owned());
        };
        self.at += 1;
        self.expect("in")?;
        let mut arms = Vec::new();
        loop {
            self.skip_ends();
            if self.at_keyword(&["esac"]) {
                self.at += 1;
                return Ok(Command::Case { word, arms });
            }
            let mut patterns = Vec::new();
            loop {
                let Some(Token::Word(pattern)) = self.peek().cloned() else {
                    return Err("a pattern of `case` is not understood".to_owned());
                };
                patterns.push(pattern);
                self.at += 2;
                match self.tokens.get(self.at - 1) {
                    Some(Token::Bar) => {}
                    Some(Token::Close) => break,
                    _ => return Err("a pattern of `case` does not end".to_owned()),
                }
            }
            arms.push((patterns, self.list(&["esac"])?));
            if self.peek() == Some(&Token::EndArm) {
                self.at += 1;
            }
        }
    }
}

/// Cuts the script into tokens.
fn tokens(script: &str) -> Result<Vec<Token>> {
    let chars: Vec<char> = script.chars().collect();
    let mut lexer = Lexer { chars, at: 0 };
    let mut tokens = Vec::new();
    while let Some(char) = lexer.peek() {
        match char {
            ' ' | '\t' => lexer.at += 1,
            '#' => {
                while lexer.peek().is_some_and(|it| it != '\n') {
                    lexer.at += 1;
                }
            }
            ';' if lexer.is(1, ';') => lexer.push(&mut tokens, Token::EndArm, 2),
            ';' | '\n' => lexer.push(&mut tokens, Token::End, 1),
            '&' if lexer.is(1, '&') => lexer.push(&mut tokens, Token::And, 2),
            '|' if lexer.is(1, '|') => lexer.push(&mut tokens, Token::Or, 2),
            '|' => lexer.push(&mut tokens, Token::Bar, 1),
            ')' => lexer.push(&mut tokens, Token::Close, 1),
            '\\' if lexer.is(1, '\n') => lexer.at += 2,
            '&' | '(' | '<' | '`' => return Err(format!("`{char}` is not understood")),
            _ if lexer.redirection()? => {}
            _ => {
                let word = lexer.word()?;
                tokens.push(Token::Word(word));
            }
        }
    }
    Ok(tokens)
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
}

impl Lexer {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn is(&self, ahead: usize, char: char) -> bool {
        self.chars.get(self.at + ahead) == Some(&char)
    }

    fn push(&mut self, tokens: &mut Vec<Token>, token: Token, len: usize) {
        tokens.push(token);
        self.at += len;
    }

    /// Skips a redirection that only throws output away.
    fn redirection(&mut self) -> Result<bool> {
        const KNOWN: [&str; 8] = [
            "2>/dev/null",
            ">/dev/null",
            "1>/dev/null",
            "&>/dev/null",
            "2>&1",
            ">&2",
            "1>&2",
            "> /dev/null",
        ];
        let found = KNOWN.iter().chain(&["2> /dev/null"]).find(|text| {
            let ends = self
                .chars
                .get(self.at + text.len())
                .is_none_or(|it| " \t\n;&|)".contains(*it));
            ends && text
                .chars()
                .enumerate()
                .all(|(index, it)| self.is(index, it))
        });
        if let Some(text) = found {
            self.at += text.len();
            return Ok(true);
        }
        match self.peek() {
            Some('>') => Err("output goes to a file".to_owned()),
            Some(digit) if digit.is_ascii_digit() && self.is(1, '>') => {
                Err("output goes to a file".to_owned())
            }
            _ => Ok(false),
        }
    }

    fn word(&mut self) -> Result<Word> {
        let mut word = Word::default();
        while let Some(char) = self.peek() {
            match char {
                ' ' | '\t' | '\n' | ';' | '&' | '|' | ')' => break,
                '(' | '<' | '>' | '`' => return Err(format!("`{char}` is not understood")),
                '\'' => {
                    let len = self.chars[self.at + 1..].iter().position(|it| *it == '\'');
                    let len = len.ok_or("a quote is open")?;
                    word.text(self.chars[self.at + 1..=self.at + len].iter().collect());
                    word.quoted = true;
                    self.at += len + 2;
                }
                '"' => self.quoted(&mut word)?,
                '\\' => {
                    let next = self
                        .chars
                        .get(self.at + 1)
                        .ok_or("it ends with a backslash")?;
                    word.text(if *next == '\n' {
                        String::new()
                    } else {
                        next.to_string()
                    });
                    word.quoted = true;
                    self.at += 2;
                }
                '$' => word.parts.extend(self.expansion()?),
                other => {
                    word.text(other.to_string());
                    self.at += 1;
                }
            }
        }
        Ok(word)
    }

    fn quoted(&mut self, word: &mut Word) -> Result<()> {
        word.quoted = true;
        self.at += 1;
        loop {
            match self.peek().ok_or("a quote is open")? {
                '"' => {
                    self.at += 1;
                    return Ok(());
                }
                '`' => return Err("a command is substituted".to_owned()),
                '$' => word.parts.extend(self.expansion()?),
                '\\' => {
                    let next = *self.chars.get(self.at + 1).ok_or("a quote is open")?;
                    let kept = if "$`\"\\".contains(next) {
                        next.to_string()
                    } else {
                        format!("\\{next}")
                    };
                    word.text(kept);
                    self.at += 2;
                }
                other => {
                    word.text(other.to_string());
                    self.at += 1;
                }
            }
        }
    }

    fn expansion(&mut self) -> Result<Option<Part>> {
        let rest: String = self.chars[self.at + 1..].iter().take(200).collect();
        let name_len = |text: &str| {
            text.bytes()
                .take_while(|it| it.is_ascii_alphanumeric() || *it == b'_')
                .count()
        };
        let (part, len) = if let Some(rest) = rest.strip_prefix("(command -v ") {
            let name: String = rest.chars().take_while(|it| *it != ')').collect();
            if name.is_empty()
                || !name
                    .bytes()
                    .all(|it| it.is_ascii_alphanumeric() || b"-_.+".contains(&it))
            {
                return Err("a command is substituted".to_owned());
            }
            let len = "(command -v )".len() + name.len();
            (Part::CommandPath(name), len)
        } else if let Some(inner) = rest.strip_prefix('{') {
            let name = &inner[..name_len(inner)];
            let after = &inner[name.len()..];
            if let Some(more) = after.strip_prefix(":+") {
                let end = more.find('}').ok_or("an expansion is not understood")?;
                (Part::IfSet(name.to_owned()), name.len() + end + 4)
            } else if after.starts_with(":-}") || after.starts_with('}') {
                let len = name.len() + if after.starts_with('}') { 2 } else { 4 };
                (Part::Variable(name.to_owned()), len)
            } else {
                return Err("an expansion is not understood".to_owned());
            }
        } else if rest.starts_with('@') {
            (Part::Variable("@".to_owned()), 1)
        } else if rest.starts_with(|it: char| it.is_ascii_digit()) {
            (Part::Variable(rest[..1].to_owned()), 1)
        } else {
            let len = name_len(&rest);
            if len == 0 {
                return Err("an expansion is not understood".to_owned());
            }
            (Part::Variable(rest[..len].to_owned()), len)
        };
        self.at += 1 + len;
        Ok(Some(part))
    }
}

impl Word {
    fn text(&mut self, text: String) {
        match self.parts.last_mut() {
            Some(Part::Text(last)) => last.push_str(&text),
            _ => self.parts.push(Part::Text(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_of_fragments_is_understood() {
        for good in [
            "#!/bin/sh\nset -e\n",
            "if [ \"$1\" = \"configure\" ] || [ -n \"$2\" ] ; then\n\ta 'b.service' >/dev/null || true\nelse\n\tb\nfi\n",
            "case \"$1\" in\n  configure|upgrade)\n  ;;\n  *) exit 0 ;;\nesac",
            "if [ -x \"$(command -v x)\" ]; then x ${DPKG_ROOT:+--root=\"$DPKG_ROOT\"} 1:7\\~ -- \"$@\"; fi",
            "a && ! b 2>&1\n_x=y\n",
        ] {
            parse(good).unwrap_or_else(|why| panic!("{good}: {why}"));
        }
    }

    #[test]
    fn all_else_is_said_not_to_be() {
        for bad in [
            "a | b",
            "f() { a; }",
            "x=`id`",
            "a > /etc/x",
            "for i in a; do b; done",
            "cat <<E\nE\n",
            "$(rm x)",
            "if a; then b",
            "a &",
            "\"",
            "(a)",
            "a ||",
            "case x in",
            "${x%y}",
            "fi",
            "a 2>x",
            "'",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let deep = "if a; then ".repeat(100);
        assert!(parse(&deep).is_err());
    }
}
