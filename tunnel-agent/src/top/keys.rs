//! What a key means.

use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers};

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Nothing,
    Quit,
    /// Until SIGCONT.
    Stop,
    /// By the next column.
    Sort,
    Reverse,
    Pause,
    /// So many rows; negative is towards the first.
    Scroll(i32),
    /// A filter is written.
    Filter,
    Letter(char),
    Erase,
    /// The filter is written.
    Done,
    /// There is no filter any more.
    Clear,
}

/// A page, in rows.
const PAGE: i32 = 10;

/// What an event means, while a filter is written or not.
pub(super) fn meaning(event: &Event, is_writing: bool) -> Action {
    let Event::Key(key) = event else { return Action::Nothing };
    if key.kind == KeyEventKind::Release {
        return Action::Nothing;
    }
    let controlled = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('c') if controlled => Action::Quit,
        KeyCode::Char('z') if controlled => Action::Stop,
        KeyCode::Char(_) if controlled => Action::Nothing,
        KeyCode::Up => Action::Scroll(-1),
        KeyCode::Down => Action::Scroll(1),
        KeyCode::PageUp => Action::Scroll(-PAGE),
        KeyCode::PageDown => Action::Scroll(PAGE),
        KeyCode::Esc => Action::Clear,
        KeyCode::Enter if is_writing => Action::Done,
        KeyCode::Backspace if is_writing => Action::Erase,
        KeyCode::Char(letter) if is_writing => Action::Letter(letter),
        KeyCode::Char('q') => Action::Quit,
        KeyCode::Char('s') => Action::Sort,
        KeyCode::Char('r') => Action::Reverse,
        KeyCode::Char('p' | ' ') => Action::Pause,
        KeyCode::Char('/') => Action::Filter,
        _ => Action::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use crossterm::event::KeyEvent;

    use super::*;

    #[test]
    fn letters_are_a_filters_while_it_is_written() {
        let key = |code, with| Event::Key(KeyEvent::new(code, with));
        let plain = |letter| key(KeyCode::Char(letter), KeyModifiers::NONE);
        assert_eq!(meaning(&plain('q'), false), Action::Quit);
        assert_eq!(meaning(&plain('q'), true), Action::Letter('q'));
        assert_eq!(meaning(&plain('/'), false), Action::Filter);
        for is_writing in [false, true] {
            assert_eq!(meaning(&key(KeyCode::Char('c'), KeyModifiers::CONTROL), is_writing), Action::Quit);
            assert_eq!(meaning(&key(KeyCode::Char('z'), KeyModifiers::CONTROL), is_writing), Action::Stop);
            assert_eq!(meaning(&key(KeyCode::Down, KeyModifiers::NONE), is_writing), Action::Scroll(1));
        }
        assert_eq!(meaning(&Event::Resize(1, 1), false), Action::Nothing);
    }
}
