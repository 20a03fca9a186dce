//! Service files.

use tracer::foreign;
use tracer::postgres::connection::dsn::Settings;

const GIVEN: &str = "given";

/// The bytes are the service's name, a line's end, and a file.
///
/// What was set before stays, each value stands in the file, and a line that is refused is
/// one of its lines.
pub fn target(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n');
    let (name, file) = data.split_at(end.unwrap_or(data.len()));
    let Ok(name) = std::str::from_utf8(name) else {
        return;
    };
    let mut settings = Settings::from([("user".to_owned(), GIVEN.to_owned())]);
    let read = foreign::service(file, name, &mut settings);
    assert_eq!(settings.remove("user").as_deref(), Some(GIVEN));
    match read {
        Ok(true) => {}
        Ok(false) => assert!(settings.is_empty(), "{settings:?}"),
        Err((number, what)) => {
            let lines = file.split(|byte| *byte == b'\n').count();
            // A line that is too long is as many as libpq's buffer makes of it.
            assert!(
                number >= 1 && number <= lines + file.len() / 1022,
                "{number}: {what}"
            );
        }
    }
    for (key, value) in &settings {
        let line = format!("{key}={value}");
        let stands = file
            .windows(line.len())
            .any(|there| there == line.as_bytes());
        assert!(stands, "{line:?}");
    }
}
