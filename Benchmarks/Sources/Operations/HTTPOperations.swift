// HTTP: heads, chunked bodies, answers.

import HTTP

func httpOperations() -> [Operation] {
    let fields = UnsafeMutableBufferPointer<HeaderField>.allocate(capacity: 101)
    fields.initialize(repeating: .empty)
    let limits = RequestLimits()

    func parse(_ name: String, _ bytes: [UInt8]) -> Operation {
        Operation("HTTP: parse \(name)") {
            let head = UnsafeRawBufferPointer(pinned(bytes))
            return { count in
                for _ in 0..<count {
                    var parser = HeadParser()
                    guard case .head(let parsed)? = try? parser.parse(head, fields: fields, limits: limits) else {
                        preconditionFailure("\(name) does not parse")
                    }
                    consume(parsed.fieldCount)
                }
            }
        }
    }

    return [
        parse("a push's head", Samples.pushHead),
        parse("the longest legal head", Samples.longestHead),
        Operation("HTTP: parse a push's head, one byte at a time") {
            let head = UnsafeRawBufferPointer(pinned(Samples.pushHead))
            return { count in
                for _ in 0..<count {
                    var parser = HeadParser()
                    for end in 1..<head.count {
                        let part = UnsafeRawBufferPointer(rebasing: head[..<end])
                        guard case .needMoreBytes? = try? parser.parse(part, fields: fields, limits: limits) else {
                            preconditionFailure("a head ended too early")
                        }
                    }
                    guard case .head? = try? parser.parse(head, fields: fields, limits: limits) else {
                        preconditionFailure("a head did not end")
                    }
                }
            }
        },
        decode("8 KiB in chunks of 1 KiB", chunk: 1024, bytes: 8192),
        decode("2 KiB in chunks of one byte", chunk: 1, bytes: 2048),
        Operation("HTTP: write an answer") {
            let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 1024, alignment: 64)
            let date = DateCache(unixSeconds: 1_800_000_000)
            return { count in
                for index in 0..<count {
                    var writer = ResponseWriter(room, date: date)
                    writer.begin(status: 200)
                    writer.field("Grapnel-Delivery", decimal: UInt64(index))
                    writer.field("Grapnel-Decision", "accepted")
                    let none = UnsafeRawBufferPointer(start: nil, count: 0)
                    consume(writer.finish(body: none, closing: false, isHead: false))
                }
            }
        },
    ]
}

private func decode(_ name: String, chunk: Int, bytes: Int) -> Operation {
    Operation("HTTP: decode \(name)") {
        let source = UnsafeRawBufferPointer(pinned(Samples.chunks(of: chunk, count: bytes)))
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes, alignment: 64)
        return { count in
            for _ in 0..<count {
                var decoder = ChunkedDecoder()
                guard
                    let progress = try? decoder.decode(from: source, into: room.baseAddress!, capacity: bytes),
                    progress.isComplete
                else { preconditionFailure("a chunked body did not decode") }
                consume(progress.produced)
            }
        }
    }
}
