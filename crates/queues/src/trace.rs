//! The X-Ray trace header of a message.

/// The header in the form that SQS accepts as `AWSTraceHeader`: `Root`, then `Parent` and `Sampled`
/// if they are present. `None` without a valid `Root`: SQS refuses a message with a malformed
/// header, and tracing must never fail a send.
/// <https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader>
pub(crate) fn header(text: &str) -> Option<String> {
    let part = |name| {
        let mut fields = text.split(';').filter_map(|field| field.trim().split_once('='));
        fields.find(|(found, _)| *found == name).map(|(_, value)| value)
    };
    let root = part("Root").filter(|root| is_trace_id(root))?;
    let parent = part("Parent").filter(|parent| is_hex(parent, 16));
    let sampled = part("Sampled").filter(|sampled| matches!(*sampled, "0" | "1"));
    let mut header = format!("Root={root}");
    for (name, value) in [("Parent", parent), ("Sampled", sampled)] {
        if let Some(value) = value {
            header.extend([";", name, "=", value]);
        }
    }
    Some(header)
}

/// `1-` and the time in 8 hexadecimal digits, `-` and 24 more.
fn is_trace_id(root: &str) -> bool {
    let mut parts = root.split('-');
    parts.next() == Some("1")
        && parts.next().is_some_and(|time| is_hex(time, 8))
        && parts.next().is_some_and(|random| is_hex(random, 24))
        && parts.next().is_none()
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "Root=1-5759e988-bd862e3fe1be46a994272793";

    #[test]
    fn a_valid_header_is_kept_and_what_sqs_does_not_know_left_out() {
        let whole = format!("{ROOT};Parent=53995c3f42cd8ad8;Sampled=1");
        assert_eq!(header(&whole).as_ref(), Some(&whole));
        let lineage = format!("Self=1-x; {ROOT};Parent=53995c3f42cd8ad8;Sampled=1;Lineage=a:b:0");
        assert_eq!(header(&lineage), Some(whole));
        assert_eq!(header(ROOT).as_deref(), Some(ROOT));
        assert_eq!(header(&format!("{ROOT};Parent=x;Sampled=?")).as_deref(), Some(ROOT));
    }

    #[test]
    fn a_malformed_header_is_none() {
        for text in [
            "",
            "x",
            "Root=",
            "Root=1-5759e988-bd862e3fe1be46a99427279",
            "Root=1-5759e988-bd862e3fe1be46a994272793-",
            "Root=2-5759e988-bd862e3fe1be46a994272793",
            "Root=1-5759e98g-bd862e3fe1be46a994272793",
            "Parent=53995c3f42cd8ad8;Sampled=1",
            "root=1-5759e988-bd862e3fe1be46a994272793",
        ] {
            assert_eq!(header(text), None, "{text}");
        }
    }
}
