//! Every mistake of servers.toml and alerts.toml, and the very text a person is shown for it.

#![allow(clippy::needless_raw_string_hashes, clippy::too_many_lines)] // the texts are what they are

use super::{PIPELINE, SERVERS, told};

#[test]
fn a_password_is_refused_and_not_shown() {
    assert_eq!(
        told(
            PIPELINE,
            r#"[calm]
url = "https://calm.example.edu/api/"
user = "admin@example.edu"
timezone = "UTC"
password = "hunter2"
passphrase = { vlaue = "hunter2" }
"#,
            None
        ),
        r#"error: `password` must not stand in this file
 --> config/servers.toml:5:12
  |
5 | password = "***"
  |            ^^^^^
  |
  = help: write { env = "NAME" } or { file = "PATH" } (chmod 600), and put it there

error: `passphrase` needs either `env` or `file`
 --> config/servers.toml:6:14
  |
6 | passphrase = { vlaue = "***" }
  |              ^^^^^^^^^^^^^^^^^
  |
  = help: write { env = "NAME" } or { file = "PATH" }

error: unknown key `vlaue`
 --> config/servers.toml:6:16
  |
6 | passphrase = { vlaue = "***" }
  |                ^^^^^
  |
  = help: known here: env, file
"#
    );
}

#[test]
fn credentials_in_an_address_are_refused_and_not_shown() {
    assert_eq!(
        told(
            PIPELINE,
            r#"[calm]
url = "https://admin:hunter2@calm.example.edu/api/"
user = "admin@example.edu"
timezone = "UTC"
"#,
            None
        ),
        r#"error: `url` holds credentials
 --> config/servers.toml:2:7
  |
2 | url = "https://***@calm.example.edu/api/"
  |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: they belong into `user` and `password`
"#
    );
}

#[test]
fn an_open_connection_is_refused_unless_it_is_allowed() {
    assert_eq!(
        told(
            PIPELINE,
            r#"[calm]
url = "http://calm.example.edu/api/"
user = "admin@example.edu"
timezone = "UTC"
[b]
url = "http://calm.example.edu/api/"
user = "admin@example.edu"
timezone = "UTC"
allow_http = true
[c]
url = "http://127.0.0.1:8080/api/"
user = "admin@example.edu"
timezone = "UTC"
"#,
            None
        ),
        r#"error: passwords and answers would travel in the open
 --> config/servers.toml:2:7
  |
2 | url = "http://calm.example.edu/api/"
  |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: use https, or set allow_http = true if the network between is yours
"#
    );
}

#[test]
fn what_a_server_must_have_is_told_at_once() {
    assert_eq!(
        told(
            PIPELINE,
            r#"[calm]
url = "calm.example.edu/api"
study = "clam"
key = "k.pem"
[logs]
url = "https://h/"
user = "u"
timezone = "America/New_Yrok"
keys = ["-----BEGIN RSA PRIVATE KEY-----"]
date_format = "%H"
"#,
            None
        ),
        r#"error: server `calm` has no `user`
 --> config/servers.toml:1:2
  |
1 | [calm]
  |  ^^^^
  |
  = help: user = "NAME": an account of the study's site with the ADMIN role

error: server `calm` has no `timezone`
 --> config/servers.toml:1:2
  |
1 | [calm]
  |  ^^^^
  |
  = help: timezone = "America/New_York": the days in file names are those of this zone

error: `url` is no address: relative URL without a base
 --> config/servers.toml:2:7
  |
2 | url = "calm.example.edu/api"
  |       ^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: write https://HOST/.../api/

error: there is no study `clam` in config/scales
 --> config/servers.toml:3:9
  |
3 | study = "clam"
  |         ^^^^^^

error: unknown key `key`
 --> config/servers.toml:4:1
  |
4 | key = "k.pem"
  | ^^^
  |
  = help: did you mean `keys`?

error: there is no time zone `America/New_Yrok`
 --> config/servers.toml:8:12
  |
8 | timezone = "America/New_Yrok"
  |            ^^^^^^^^^^^^^^^^^^
  |
  = help: did you mean `America/New_York`?

error: a key must not stand in this file
 --> config/servers.toml:9:9
  |
9 | keys = ["***"]
  |         ^^^^^
  |
  = help: put it into a file (chmod 600) and name the file

error: files named so could not be found again
  --> config/servers.toml:10:15
   |
10 | date_format = "%H"
   |               ^^^^
   |
   = help: use "%b_%d_%Y" or "%d_%m_%Y", or leave it out for 2015-08-25
"#
    );
}

#[test]
fn two_servers_never_share_a_folder() {
    assert_eq!(
        told(
            PIPELINE,
            r#"[calm]
url = "https://calm.example.edu/api/"
user = "admin@example.edu"
timezone = "UTC"
[other]
url = "https://calm.example.edu/api/"
user = "admin@example.edu"
timezone = "UTC"
path = "data/calm"
"#,
            None
        ),
        r#"error: the servers `calm` and `other` have one folder in the pool
 --> config/servers.toml:5:2
  |
5 | [other]
  |  ^^^^^
  |
  = help: give each a `path` of its own
"#
    );
}

#[test]
fn mail_is_checked_before_it_is_needed() {
    assert_eq!(
        told(
            r#"[data]
alerts = "alerts.toml"
[task.export]
action = "export"
each = ["server", "scale"]
"#,
            SERVERS,
            Some(
                r#"[mail]
smtp = "smtp.example.edu:0"
tls = "starttl"
user = "martin"
from = "nobody"
to = ["admin@example.edu", "a b"]
repeat = "6h"
[heartbeat]
url = "ftp://x/"
[hook]
command = []
"#
            )
        ),
        r#"error: `smtp` must be HOST or HOST:PORT
 --> alerts.toml:2:8
  |
2 | smtp = "smtp.example.edu:0"
  |        ^^^^^^^^^^^^^^^^^^^^

error: `tls` must be one of "starttls", "implicit", "none"
 --> alerts.toml:3:7
  |
3 | tls = "starttl"
  |       ^^^^^^^^^
  |
  = help: did you mean "starttls"?

error: `user` is of no use without `password`
 --> alerts.toml:4:8
  |
4 | user = "martin"
  |        ^^^^^^^^

error: `nobody` is no mail address
 --> alerts.toml:5:8
  |
5 | from = "nobody"
  |        ^^^^^^^^

error: `a b` is no mail address
 --> alerts.toml:6:28
  |
6 | to = ["admin@example.edu", "a b"]
  |                            ^^^^^

error: unknown key `repeat`
 --> alerts.toml:7:1
  |
7 | repeat = "6h"
  | ^^^^^^
  |
  = help: did you mean `repeat_after`?

error: `url` is no web address
 --> alerts.toml:9:7
  |
9 | url = "ftp://x/"
  |       ^^^^^^^^^^

error: `command` is missing here
  --> alerts.toml:11:11
   |
11 | command = []
   |           ^^
   |
   = help: write the program and its arguments: ["notify", "--urgent"]
"#
    );
}

#[test]
fn mail_in_the_open_is_for_loopback_only() {
    assert_eq!(
        told(
            r#"[data]
alerts = "alerts.toml"
[task.export]
action = "export"
each = ["server", "scale"]
"#,
            SERVERS,
            Some(
                r#"[mail]
smtp = "smtp.example.edu:25"
tls = "none"
from = "a@b.c"
to = []
"#
            )
        ),
        r#"error: mail would travel in the open
 --> alerts.toml:2:8
  |
2 | smtp = "smtp.example.edu:25"
  |        ^^^^^^^^^^^^^^^^^^^^^
  |
  = help: tls = "none" is for loopback only; leave it out for STARTTLS

error: `to` is empty: nobody would be told
 --> alerts.toml:5:6
  |
5 | to = []
  |      ^^
"#
    );
}
