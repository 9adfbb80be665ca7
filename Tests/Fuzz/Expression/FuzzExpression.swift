// Fuzzes the expression language: any text compiles or is refused, what compiles ends within its cost, and a text taken as a regular
// expression is compiled or refused and searched in linear time.

import CEL
import FuzzDriver

@main
enum FuzzExpression {
    static func main() {
        runFuzzer { data, count in
            FuzzExpression.test(UnsafeRawBufferPointer(start: data, count: count))
            return 0
        }
    }

    private static let request = #"{"ref":"refs/heads/main","n":1,"list":[1,"a",null],"map":{"a":{"b":true}},"s":"ÄÖ"}"#

    static func test(_ bytes: UnsafeRawBufferPointer) {
        _ = try? CELValue.parseJSON(bytes)
        let text = String(decoding: bytes, as: UTF8.self)
        if let regex = try? LinearRegex(text) { _ = regex.search(in: request) }
        guard let program = try? CELProgram.compile(text, variables: ["req", "res"], expecting: .any) else { return }
        var copy = request
        let value = copy.withUTF8 { try? CELValue.parseJSON(UnsafeRawBufferPointer($0)) }
        guard let value else { return check(false, "the request is JSON") }
        _ = try? program.evaluate(["req": value, "res": value], costMax: 20_000)
    }
}
