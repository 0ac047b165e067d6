//! Table checkpoints: what the own log signed, and who saw it.

use lattice::log::checkpoint::SignedCheckpoint;
use lattice::log::note::{KeyKind, VerifierKey};
use lattice::log::policy::Policy;
use node_core::logs::cosigner_of;
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use super::super::Subject;
use super::super::flaws::{Broken, Flaws};
use super::super::rows::{column, expect, number};
use crate::store::OWN_LOG;

/// Whether there is a row at all, and the stored checkpoint, if the log signed it.
pub(super) async fn checkpoint(
    connection: &mut SqliteConnection,
    subject: &Subject,
    name: &str,
    policy: Option<&Policy>,
    flaws: &mut Flaws,
) -> Result<(bool, Option<SignedCheckpoint>), Broken> {
    let mut found = None;
    let rows = sqlx::query("SELECT log, size, note FROM checkpoints").fetch_all(connection).await;
    let rows = rows.map_err(Broken::of("checkpoints"))?;
    let has_rows = !rows.is_empty();
    for row in rows {
        let log: i64 = row.try_get(0).map_err(Broken::of("checkpoints"))?;
        let check = || -> Result<(SignedCheckpoint, VerifierKey), String> {
            expect(log == OWN_LOG.0, "it is of a log that is not there, or signs nothing")?;
            let signed = SignedCheckpoint::parse(column(&row, 2)?).map_err(|error| error.to_string())?;
            expect(number(&row, 1)? == signed.checkpoint().size(), "column size is not that of the checkpoint")?;
            let key = key(signed.checkpoint().origin(), subject)?;
            signed.verify(&key).map_err(|error| error.to_string())?;
            lines(&signed, &key, subject)?;
            Ok((signed, key))
        };
        match check() {
            Ok((signed, key)) => {
                let is_of_policy = |policy: &Policy| policy.logs().iter().any(|log| log.key == key);
                if signed.checkpoint().origin() == name && policy.is_some_and(|policy| !is_of_policy(policy)) {
                    flaws.note("checkpoints", log, format!("the policy does not name the log's key, {key}"));
                }
                found = Some(signed);
            }
            Err(what) => flaws.note("checkpoints", log, what),
        }
    }
    Ok((has_rows, found))
}

fn key(name: &str, subject: &Subject) -> Result<VerifierKey, String> {
    let name = name.parse().map_err(|error: lattice::log::note::BadKeyName| error.to_string())?;
    VerifierKey::new(name, KeyKind::Log, subject.log_key.0).map_err(|error| error.to_string())
}

/// Whether all signature lines of a checkpoint are by its log and by members, and hold.
pub(in super::super) fn lines(signed: &SignedCheckpoint, log: &VerifierKey, subject: &Subject) -> Result<(), String> {
    let witnesses: Vec<_> =
        subject.membership.members().filter_map(|member| cosigner_of(member, &subject.lattice)).collect();
    for line in signed.note().signatures().iter().filter(|line| !line.is_by(log)) {
        let witness = witnesses.iter().find(|witness| line.is_by(witness));
        let witness = witness.ok_or_else(|| format!("a signature is by {}, whom nobody knows", line.name()))?;
        signed.cosigned_by(witness).map_err(|error| error.to_string())?;
    }
    Ok(())
}
