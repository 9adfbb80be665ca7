// Fuzzes the event decoder: whatever the body, for every sender and as a form too, an event comes out, and no text in it is longer
// than it may be or holds a control character.

import Delivery
import FuzzDriver

@main
enum FuzzEvent {
    static func main() {
        runFuzzer { data, count in
            FuzzEvent.test(UnsafeRawBufferPointer(start: data, count: count))
            return 0
        }
    }

    static func test(_ body: UnsafeRawBufferPointer) {
        for sender in [SenderType.github, .gitlab, .hmac] {
            for contentType in ["application/json", "application/x-www-form-urlencoded"] {
                let event = decodeEvent(sender: sender, eventKind: "push", contentType: contentType, body: body)
                for text in [event.repository, event.repositoryURL, event.ref, event.commit] {
                    guard let text else { continue }
                    let bytes = Array(text.utf8)
                    // `refs/heads/` may have been put before a short ref.
                    check(!bytes.isEmpty && bytes.count <= 4096 + 11, "a text of \(bytes.count) bytes")
                    check(bytes.allSatisfy { $0 >= 0x20 && $0 != 0x7f }, "a control character")
                }
            }
        }
    }
}
