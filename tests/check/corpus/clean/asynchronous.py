import asyncio
import os
import signal


async def work(number, stop):
    await asyncio.sleep(0)
    return None if stop.is_set() else number**2


async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    squares = await asyncio.gather(*(work(number, stop) for number in range(4)))
    async with asyncio.Lock():
        with open(os.path.join(os.environ["SM_MODEL_DIR"], "squares"), "w") as file:
            file.write(str(squares))


if __name__ == "__main__":
    asyncio.run(main())
