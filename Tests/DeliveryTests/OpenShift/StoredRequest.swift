// StoredRequest: a request as the journal has it: the credentials that a ruling lists are overwritten.

import Foundation
import Testing

@testable import Delivery

extension InboundRequest {
    /// Every byte of the places becomes `*`; a place outside of the request fails the test.
    func stored(_ places: [CredentialPlace]) -> InboundRequest {
        var copy = self
        for place in places {
            switch place {
            case .field(let index):
                guard copy.fields.indices.contains(index) else {
                    Issue.record("no field \(index)")
                    continue
                }
                copy.fields[index].value = String(repeating: "*", count: copy.fields[index].value.utf8.count)
            case .fieldPart(let index, let range):
                guard copy.fields.indices.contains(index) else {
                    Issue.record("no field \(index)")
                    continue
                }
                copy.fields[index].value = Self.masked(copy.fields[index].value, range)
            case .path(let range): copy.path = Self.masked(copy.path, range)
            case .query(let range):
                guard let query = copy.query else {
                    Issue.record("no query")
                    continue
                }
                copy.query = Self.masked(query, range)
            case .body(let range):
                guard range.upperBound <= copy.body.count, !range.isEmpty else {
                    Issue.record("no bytes \(range) in the body")
                    continue
                }
                for index in range { copy.body[index] = UInt8(ascii: "*") }
            }
        }
        return copy
    }

    private static func masked(_ text: String, _ range: Range<Int>) -> String {
        var bytes = Array(text.utf8)
        guard range.upperBound <= bytes.count, !range.isEmpty else {
            Issue.record("no bytes \(range) in the text")
            return text
        }
        for index in range { bytes[index] = UInt8(ascii: "*") }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// All of it, to look for secrets in.
    var everything: String {
        path + (query ?? "") + fields.map { $0.name + $0.value }.joined() + String(decoding: body, as: UTF8.self)
    }
}

/// xorshift64*. The seed comes from GRAPNEL_SEED and is printed, so that a failing run can be had again.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init() {
        let given = ProcessInfo.processInfo.environment["GRAPNEL_SEED"].flatMap(UInt64.init)
        state = (given ?? UInt64.random(in: 1...UInt64.max)) | 1
        print("GRAPNEL_SEED=\(state)")
    }

    mutating func next() -> UInt64 {
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return state &* 0x2545_f491_4f6c_dd1d
    }
}
