// Fuzzes the event decoder: whatever the body, for every sender and as a form too, an event comes out, and no text in it is longer
// than it may be or holds a control character.

import CFuzzer
import Delivery
import Glibc

@main
enum FuzzEvent {
    static func main() {
        var argc = CommandLine.argc
        var argv = CommandLine.unsafeArgv
        let status = withUnsafeMutablePointer(to: &argv) { argv in
            argv.withMemoryRebound(to: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.self, capacity: 1) {
                LLVMFuzzerRunDriver(&argc, $0) { data, size in
                    FuzzEvent.test(UnsafeRawBufferPointer(start: data, count: size))
                    return 0
                }
            }
        }
        exit(status)
    }

    static func test(_ body: UnsafeRawBufferPointer) {
        for sender in [SenderType.github, .gitlab, .hmac] {
            for contentType in ["application/json", "application/x-www-form-urlencoded"] {
                let event = decodeEvent(sender: sender, eventKind: "push", contentType: contentType, body: body)
                for text in [event.repository, event.repositoryURL, event.ref, event.commit] {
                    guard let text else { continue }
                    let bytes = Array(text.utf8)
                    // `refs/heads/` may have been put before a short ref.
                    if bytes.isEmpty || bytes.count > 4096 + 11 { fatalError("a text of \(bytes.count) bytes") }
                    if bytes.contains(where: { $0 < 0x20 || $0 == 0x7f }) { fatalError("a control character") }
                }
            }
        }
    }
}
