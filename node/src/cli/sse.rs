//! Reading server-sent events out of a stream of bytes, as far as a node sends them.

/// Bytes of one unfinished event that are kept: the largest entry in JSON takes 400 KiB.
pub const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseEvent {
    /// Its name.
    pub event: String,
    /// Its data, lines joined.
    pub data: String,
    /// The last id seen, on this event or before: the log position to resume from.
    pub id: Option<u64>,
}

/// The stream is not one of server-sent events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadStream {
    /// One event without an end.
    #[error("an event is longer than {EVENT_BYTES_MAX} bytes")]
    LongEvent,
    /// Not text.
    #[error("an event is not UTF-8")]
    NotUtf8,
}

/// Takes events out of bytes as they come.
#[derive(Debug, Default)]
pub struct SseReader {
    pending: Vec<u8>,
    event: String,
    data: Vec<String>,
    id: Option<u64>,
}

impl SseReader {
    /// The last id seen, also on an event without data.
    pub fn last_id(&self) -> Option<u64> {
        self.id
    }

    /// Takes in more bytes and gives the events that they end.
    ///
    /// # Errors
    ///
    /// [`BadStream`].
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<SseEvent>, BadStream> {
        let mut events = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.pending.extend_from_slice(piece);
            let kept: usize = self.data.iter().map(String::len).sum();
            if kept + self.pending.len() > EVENT_BYTES_MAX {
                return Err(BadStream::LongEvent);
            }
            if piece.ends_with(b"\n") {
                let line = String::from_utf8(std::mem::take(&mut self.pending)).map_err(|_| BadStream::NotUtf8)?;
                events.extend(self.line(line.trim_end_matches(['\r', '\n'])));
            }
        }
        Ok(events)
    }

    fn line(&mut self, line: &str) -> Option<SseEvent> {
        if line.is_empty() {
            return self.end_of_event();
        }
        // A line that starts with a colon is a comment: an empty field name below.
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event),
            "data" => self.data.push(value.to_owned()),
            "id" => self.id = value.parse().ok().or(self.id),
            _ => {}
        }
        None
    }

    fn end_of_event(&mut self) -> Option<SseEvent> {
        let (event, data) = (std::mem::take(&mut self.event), std::mem::take(&mut self.data));
        (!data.is_empty()).then(|| SseEvent { event, data: data.join("\n"), id: self.id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_out_whole_however_the_bytes_are_cut() {
        let text = "id: 7\n\n: keep-alive\n\nevent: entry\ndata: {\"ä\":1}\r\n\nevent: entry\ndata: a\ndata:b\nid: 9\n\nevent: x\n";
        let expected = [("entry", "{\"ä\":1}", Some(7)), ("entry", "a\nb", Some(9))];
        for size in 1..text.len() {
            let mut reader = SseReader::default();
            let events: Vec<_> =
                text.as_bytes().chunks(size).flat_map(|chunk| reader.feed(chunk).expect("well-formed")).collect();
            let seen: Vec<_> = events.iter().map(|e| (e.event.as_str(), e.data.as_str(), e.id)).collect();
            assert_eq!(seen, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn a_stream_without_ends_is_given_up() {
        let mut reader = SseReader::default();
        assert_eq!(reader.feed(&vec![b'x'; EVENT_BYTES_MAX + 1]), Err(BadStream::LongEvent));
        assert_eq!(SseReader::default().feed(b"data: \xff\n"), Err(BadStream::NotUtf8));
    }
}
