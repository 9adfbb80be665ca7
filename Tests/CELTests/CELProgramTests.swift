import Foundation
import Synchronization
import Testing

@testable import CEL

@Suite struct CELProgramTests {
    @Test("a variable that is used must be given, one that is not need not")
    func variables() throws {
        let program = try CELProgram.compile("req.a == 1", variables: ["res", "req"], expecting: .bool)
        #expect(try program.evaluateBool(["req": json(#"{"a":1}"#)]))
        #expect(throws: CELEvaluationError("no such attribute(s): req")) { try program.evaluateBool(["res": .null]) }
        let shadowed = try CELProgram.compile("[1].all(req, req == 1)", variables: ["req"], expecting: .bool)
        #expect(try shadowed.evaluateBool(["req": .null]))
    }

    @Test("a value of another type than a map is an error of the evaluation, not of the server")
    func oddVariables() throws {
        let program = try CELProgram.compile(
            "req.a == 1 && req.exists(x, x == 'a')", variables: ["req"], expecting: .bool)
        for value in [CELValue.null, .double(1), .string("a"), .list([.string("a")])] {
            #expect(throws: CELEvaluationError.self) { try program.evaluateBool(["req": value]) }
        }
    }

    /// The release build compiles these in 0.15 s on one core.
    @Test("5,000 different filters compile, and each means its own")
    func many() throws {
        let programs = try (0..<5_000).map { number in
            try CELProgram.compile(
                "req.ref == 'refs/heads/b\(number)' && req.paths.exists(p, p.startsWith('apps/\(number)/')) && req.name.matches('^org\(number)/[a-z-]+$')",
                variables: ["res", "req"], expecting: .bool)
        }
        let req = try json(#"{"ref":"refs/heads/b77","paths":["x","apps/77/y"],"name":"org77/web-app"}"#)
        let matching = try programs.indices.filter { try programs[$0].evaluateBool(["req": req]) }
        #expect(matching == [77])
    }

    @Test("one program serves many threads at once")
    func threads() async throws {
        let program = try CELProgram.compile(
            "req.l.map(x, x * 2.0).filter(x, x > req.n).size() == int(req.want)", variables: ["req"], expecting: .bool)
        let results = await withTaskGroup(of: Bool.self, returning: [Bool].self) { group in
            for task in 0..<16 {
                group.addTask {
                    let numbers = (0...task).map(String.init).joined(separator: ",")
                    guard let req = try? json("{\"l\":[\(numbers)],\"n\":-1,\"want\":\(task + 1)}") else {
                        return false
                    }
                    return (0..<200).allSatisfy { _ in (try? program.evaluateBool(["req": req])) == true }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(results == Array(repeating: true, count: 16))
    }

    @Test("the deepest expressions there may be get along with a small stack")
    func stack() {
        let nested = { (open: String, inner: String, close: String, count: Int) in
            String(repeating: open, count: count) + inner + String(repeating: close, count: count)
        }
        var macros = "true"
        for depth in 0..<120 { macros = "[1].all(x\(depth), \(macros))" }
        let sources = [
            nested("(", "true", ")", 249), nested("[", "1", "]", 240) + " == []", nested("!(", "true", ")", 248),
            nested("true ? (", "true", ") : false", 120),
            nested("size([", "1", "])", 120) + " == 1", macros, "'a'.matches('" + nested("(", "a", ")*", 250) + "')",
            "-(" + nested("-(", "1", ")", 247) + ") == 1",
        ]
        let failures = Mutex<[String]>([])
        let done = DispatchSemaphore(value: 0)
        let thread = Thread {
            for source in sources {
                do throws(CELCompileError) {
                    _ = try? CELProgram.compile(source, variables: [], expecting: .any).evaluate([:])
                    _ = try CELProgram.compile(source, variables: [], expecting: .any)
                } catch {
                    if error.message.contains("nested") { failures.withLock { $0.append(error.message) } }
                }
            }
            done.signal()
        }
        // Frames of a debug build are many times as large, and larger yet under a sanitizer.
        #if DEBUG
            thread.stackSize = 8 << 20
        #else
            thread.stackSize = 384 << 10
        #endif
        thread.start()
        done.wait()
        #expect(failures.withLock { $0 } == [])
    }

    @Test("random source never traps, in the lexer, the parser, the checker or the evaluation")
    func random() throws {
        var random = SeededRandom()
        let pieces = [
            "req", ".a", ".?b", "[0]", "[?'a']", "1", "2u", "1.5", "'a'", "b'a'", "true", "null", " + ", " - ", " * ",
            " / ", " % ", " == ", " < ", " in ", " && ", " || ", "!", "-", "(",
            ")", "[", "]", "{", "}", ":", ",", " ? ", " : ", ".all(x, ", ".map(x, ", ".filter(x, ", ".exists(x, ", "x",
            "size(", ".size()", ".split('')", "has(", "optional.of(", ".value()",
            ".orValue(", "int(", "string(", "timestamp(", "duration('1s')", "type(", "dyn(", ".optMap(x, ",
            ".matches('a*')", "sets.contains(", ".format([", "'", "\\", "\"\"\"", "é", "\n", "//",
        ]
        let req = try json(#"{"a":[1,{"a":"b"}],"b":{"a":null}}"#)
        var compiledCount = 0
        for _ in 0..<30_000 {
            var source = ""
            for _ in 0..<Int.random(in: 1..<9, using: &random) { source += pieces.randomElement(using: &random) ?? "" }
            let open = source.filter { $0 == "(" }.count - source.filter { $0 == ")" }.count
            if open > 0, Bool.random(using: &random) { source += String(repeating: ")", count: open) }
            guard let program = try? CELProgram.compile(source, variables: ["req"], expecting: .any) else { continue }
            compiledCount += 1
            _ = try? program.evaluate(["req": req])
        }
        #expect(compiledCount > 100)
        for _ in 0..<5_000 {
            let bytes = (0..<Int.random(in: 0..<30, using: &random)).map { _ in
                UInt8.random(in: 0x20...0x7e, using: &random)
            }
            _ = try? CELProgram.compile(String(decoding: bytes, as: UTF8.self), variables: ["req"], expecting: .any)
        }
    }
}
