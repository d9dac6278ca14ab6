namespace Ringfence.Tests.Support;

/// <summary>Statements about time, on hosts that may be doing something else at that moment.</summary>
internal static class BusyHost
{
    /// <summary>What holds whenever the host leaves a test alone has to hold in one of several attempts; the last one's failure is the test's.</summary>
    public static void OnceOf(int attempts, Action attempt)
    {
        for (int i = 1; i < attempts; i++)
        {
            try
            {
                attempt();
                return;
            }
            catch (ShouldAssertException)
            {
                Thread.Sleep(i * 10);
            }
        }

        attempt();
    }

    /// <summary>The same for a test that waits.</summary>
    public static async Task OnceOfAsync(int attempts, Func<Task> attempt)
    {
        for (int i = 1; i < attempts; i++)
        {
            try
            {
                await attempt();
                return;
            }
            catch (ShouldAssertException)
            {
                await Task.Delay(i * 10);
            }
        }

        await attempt();
    }
}
