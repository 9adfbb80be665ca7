// JSONDocument: one parsed body, asked for members by JSON pointer. Wraps CJSON once; bounds as below.

internal import CJSON

/// A JSON text parsed whole. Freed with this value; strings are copied out of it.
@safe
struct JSONDocument: ~Copyable {
    /// The greatest body that a server may be configured to take; above this nothing is decoded.
    static let bytesMax = 64 << 20
    /// Values take up to 16 bytes of memory each, besides the text: 64 MiB.
    static let valuesMax = 4 << 20
    /// Real payloads stay below 10.
    static let depthMax = 64
    /// Names, refs and URLs of git hosts are far shorter; what is longer is no such thing.
    static let textBytesMax = 4096

    // Alive as long as this value.
    private let parser: OpaquePointer

    /// nil when `bytes` are not one whole JSON text within the bounds, or there is no memory for it.
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard let parser = unsafe cj_parser_create(Self.bytesMax, Self.valuesMax, Self.depthMax) else { return nil }
        let start = unsafe bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
        guard unsafe cj_parse(parser, start, bytes.count) == CJ_OK else {
            unsafe cj_parser_destroy(parser)
            return nil
        }
        unsafe self.parser = unsafe parser
    }

    deinit {
        unsafe cj_parser_destroy(parser)
    }

    /// The string at a JSON pointer; nil when there is none, or when it is empty, longer than `textBytesMax` or holds control
    /// characters, which nothing that is asked for here may.
    func text(_ pointer: StaticString) -> String? {
        var start: UnsafePointer<CChar>?
        var count = 0
        // A literal ends with a NUL; `start` and `count` are good until the parser goes.
        let found = unsafe pointer.utf8Start.withMemoryRebound(to: CChar.self, capacity: pointer.utf8CodeUnitCount + 1)
        {
            unsafe cj_string(parser, $0, &start, &count)
        }
        guard found == CJ_OK, count > 0, count <= Self.textBytesMax, let start = unsafe start else { return nil }
        let bytes = unsafe UnsafeRawBufferPointer(start: start, count: count)
        for index in 0..<count where unsafe bytes[index] < 0x20 || bytes[index] == 0x7f { return nil }
        return unsafe String(decoding: bytes, as: UTF8.self)
    }
}

/// A parser that is kept from body to body. Owned by one thread.
@safe
final class JSONParser {
    // Destroyed in deinit, used by the owner alone.
    private let parser: OpaquePointer

    /// nil when there is no memory for it.
    init?() {
        guard
            let parser = unsafe cj_parser_create(
                JSONDocument.bytesMax, JSONDocument.valuesMax, JSONDocument.depthMax)
        else { return nil }
        unsafe self.parser = unsafe parser
    }

    deinit {
        unsafe cj_parser_destroy(parser)
    }

    func isObject(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let start = unsafe bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
        return unsafe cj_parse(parser, start, bytes.count) == CJ_OK && cj_is_object(parser)
    }
}
