//! A client's read under the lease, wherever it comes in: at the holder it is answered, elsewhere it is asked for there.

use lattice::op::Key;
use lattice::seat::Body;
use lattice::seat::message::{SeatAnswer, SeatRequest};
use tokio::time::Instant;

use super::Seat;
use super::write_error::{SeatWriteError, told};
use super::writing::{RETRY_PAUSE, TRY_TIMEOUT};

impl Seat {
    /// Reads a key at the holder under its lease; the entry as the API shows it, in JSON.
    ///
    /// # Errors
    ///
    /// [`SeatWriteError`].
    pub async fn read(&self, key: &Key) -> Result<Option<Vec<u8>>, SeatWriteError> {
        let until = Instant::now() + TRY_TIMEOUT;
        loop {
            let why = match self.try_read(key).await {
                Err(error) if error.may_pass() && Instant::now() < until => error,
                done => return done,
            };
            tracing::debug!(%why, "a read of the seat is tried again");
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    async fn try_read(&self, key: &Key) -> Result<Option<Vec<u8>>, SeatWriteError> {
        let body = self.body().ok_or(SeatWriteError::NoSeat)?;
        if body.holder == self.own() {
            return self.read_here(key, &body).await;
        }
        let request = SeatRequest::Read { key: key.as_str().to_owned() };
        let answered = tokio::select! {
            answered = self.ask_for_client(body.holder, &request, TRY_TIMEOUT) => answered,
            () = self.term_after(body.term) => {
                return Err(SeatWriteError::NoHolder("the seat moved to another node meanwhile".to_owned()));
            }
        };
        match answered {
            Ok(SeatAnswer::Entry(entry)) => Ok(entry),
            Ok(answer) => Err(told(answer)),
            Err(why) => Err(SeatWriteError::NoHolder(why.to_string())),
        }
    }

    /// At the holder: first the value, then the look at the lease. Were it the other way, the lease could end in between
    /// and another node write.
    async fn read_here(&self, key: &Key, body: &Body) -> Result<Option<Vec<u8>>, SeatWriteError> {
        if self.serving.borrow().term != Some(body.term) {
            // What the term began with is not applied yet: the value would be an old one.
            return Err(SeatWriteError::NoHolder("its holder has not opened the term yet".to_owned()));
        }
        let entry = self.reader.entry(key).await.map_err(|error| SeatWriteError::Write(error.into()))?;
        let serving = *self.serving.borrow();
        if serving.term != Some(body.term) || !serving.is_leased() {
            return Err(SeatWriteError::NoHolder("its holder has no lease now".to_owned()));
        }
        let json = |entry| serde_json::to_vec(&crate::api::shown::entry(entry)).unwrap_or_default();
        Ok(entry.map(json))
    }

    /// Answers another node's read.
    pub(super) async fn take_read(&self, key: &str) -> SeatAnswer {
        let Some(body) = self.body().filter(|body| body.holder == self.own()) else {
            return self.refuse_write(&SeatWriteError::NoHolder("this node does not hold it".to_owned()));
        };
        let read = match Key::new(key) {
            Ok(key) => self.read_here(&key, &body).await,
            Err(error) => Err(SeatWriteError::Write(error.into())),
        };
        match read {
            Ok(entry) => SeatAnswer::Entry(entry),
            Err(error) => self.refuse_write(&error),
        }
    }
}
