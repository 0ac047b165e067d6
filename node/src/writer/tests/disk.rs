//! A disk that lost or changed what it held: a start refuses or catches up, and a running node drops what is wrong.

use super::*;

/// Changes the database behind the node's back.
async fn alter(dir: &Path, sql: &'static str) {
    use sqlx::Connection;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(dir.join("state.db"));
    let mut connection = sqlx::SqliteConnection::connect_with(&options).await.expect("a database");
    sqlx::query(sql).execute(&mut connection).await.expect("good SQL");
    connection.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_changed_on_disk_keeps_the_node_from_starting() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = start(dir.path()).await;
    node.write(vec![put("k", b"right")]).await.expect("durable");
    node.stop().await;
    alter(dir.path(), "UPDATE entries SET value = x'77726f6e67'").await;
    let refused = start_with(dir.path(), genesis()).await.err().expect("a wrong root");
    assert!(matches!(refused, OpenError::RootMismatch { .. }));
    assert!(refused.to_string().contains("remove state.db"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_a_newer_version_or_another_lattice_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    start(dir.path()).await.stop().await;
    let mut other = genesis();
    other.name = "other".into();
    let refused = start_with(dir.path(), other).await.err();
    assert!(matches!(refused, Some(OpenError::OtherLattice { .. })));
    let path = dir.path().join("state.db");
    let refused = open(&path, genesis().id(), keys(1).log_key(), Synchronous::Normal, |_| {}).await.err();
    assert!(matches!(refused, Some(OpenError::OtherNode)), "of another node");
    alter(
        dir.path(),
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'later', 1, x'00', 0)",
    )
    .await;
    let refused = start_with(dir.path(), genesis()).await.err().expect("from the future");
    assert!(matches!(refused, OpenError::Newer(..)));
    assert!(refused.to_string().contains("newer version"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_lost_its_database_signs_nothing_until_a_peer_told_it_what_it_signed() {
    let (lost, kept) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let node = start(lost.path()).await;
    let first = node.write(vec![put("k", b"v")]).await.expect("durable");
    let rows: Vec<_> = node.handle.published().tree.leaves().map(|leaf| leaf.tag).collect();
    let (commits, _) = node.reader.commits_of(&rows, usize::MAX).await.expect("readable");
    let frontier = node.handle.published().frontier.clone();
    node.stop().await;

    // The same node with an empty database.
    let node = start_as(kept.path(), genesis(), Start { is_catching_up: true, ..Start::default() })
        .await
        .expect("a good directory");
    assert_eq!(node.write(vec![put("k", b"w")]).await, Err(WriteError::CatchingUp), "it would sign number 1 again");
    node.take(commits).await;
    let (reply, done) = oneshot::channel();
    let chains = frontier.chains().map(|(id, chain)| (*id, chain.clone())).collect();
    assert!(node.handle.send(Job::Raise { root: node.root(), chains, reply }).await);
    done.await.expect("running");
    let next = node.write(vec![put("k", b"w")]).await.expect("caught up");
    assert_eq!(next.seq, first.seq + 1);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_on_disk_leaves_the_state_and_comes_back_with_its_commit() {
    // A running node served wrong values under a right root, and nobody was told.
    let dir = tempfile::tempdir().expect("a directory");
    let node = start(dir.path()).await;
    node.write(add(1)).await.expect("an admin");
    let commits = chain(1, 600);
    node.take(commits.clone()).await;
    let (right, entries) = (node.root(), node.handle.published().tree.len());
    let recorded = node.handle.published().log_size;
    alter(dir.path(), "UPDATE entries SET value = x'6576696c' WHERE key = '1/5'").await;
    alter(dir.path(), "DELETE FROM entries WHERE key IN ('1/6', '1/599')").await;
    let journal: Arc<crate::journal::Journal> = Arc::default();
    let (writer, reader) = (node.handle.clone(), node.reader.clone());
    let scrubber = crate::scrub::Scrubber { writer, reader, journal: journal.clone(), pause: Duration::MAX };
    scrubber.pass().await.expect("readable");
    let published = node.handle.published();
    assert_eq!((published.tree.len(), published.damaged), (entries - 3, 3));
    let (mut root, mut dropped) = (right, 0);
    for position in recorded..published.log_size {
        let record = node.reader.record(position).await.expect("readable").expect("written");
        let record = Record::decode(&record).expect("canonical");
        assert_eq!(record.before, root);
        root = record.after;
        dropped += if let Event::Damaged { dropped } = record.event { dropped } else { 0 };
    }
    assert_eq!((root, dropped), (node.root(), 3), "every step is in the log");
    assert!(journal.behind(0, 9).iter().all(|happening| happening.kind == "damage"));
    scrubber.pass().await.expect("readable");
    assert_eq!(node.handle.published().log_size, published.log_size, "what is right stays");
    node.take(vec![commits[4].clone(), commits[5].clone(), commits[598].clone()]).await;
    assert_eq!(node.root(), right);
    assert_eq!(node.value("1/5").await.as_deref(), Some(&b"v"[..]));
    assert_eq!(node.handle.published().damaged, 3, "what comes back is not damaged once more");
    node.stop().await;
    start(dir.path()).await.stop().await;
}
